"""What was found in the tiles of a picture, as what was found in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from headstart.stock.regions import split_region
from headstart.stock.timm_detector import at_seams, merged
from headstart.types import Example, Found, Prediction


def joined(picture: Example, tiles: Sequence[Example], found: Sequence[Prediction]) -> Prediction:
    """One prediction for a picture, from those of its tiles."""
    outer = split_region(picture.input)[1]
    assert outer is not None, "box_check gives every input its region"
    corners, scores, labels, seams = [], [], [], []
    for tile, prediction in zip(tiles, found):
        region = split_region(tile.input)[1]
        assert region is not None, "a tile is a region"
        left, top = region[0] - outer[0], region[1] - outer[1]
        own = torch.tensor([b.corners for b in prediction.boxes or ()], dtype=torch.float32).reshape(-1, 4)
        seams.append(at_seams(own, (left, top, region[2], region[3]), outer[2:]))
        corners.append(own + torch.tensor([left, top, left, top]))
        scores += [b.score for b in prediction.boxes or ()]
        labels += [b.label for b in prediction.boxes or ()]
    names = sorted(set(labels))
    index = torch.tensor([names.index(label) for label in labels], dtype=torch.int64)
    kept: tuple[Any, ...] = merged(torch.cat(corners), torch.tensor(scores), index, torch.cat(seams))
    boxes = tuple(
        Found(names[label], score, (box[0], box[1], box[2], box[3]))
        for box, score, label in zip(*(values.tolist() for values in kept))
    )
    return Prediction(picture.id, picture.target, boxes=boxes)
