"""The control of object detection: the closed-form head on maps of random weights, beside that on pretrained ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from headstart.data.scenes import tiles_of
from headstart.data.split import group_indices, label_indices
from headstart.heads.detection import DetectionHead
from headstart.problem import Problem, Rows
from headstart.stock.regions import split_region
from headstart.stock.timm_detector import at_seams, merged
from headstart.tasks.random_weights import RandomWeightControl, subset
from headstart.tasks.task import Control, ControlSetup
from headstart.types import Example, Found, Prediction


@dataclass(frozen=True)
class BoxControl:
    """As for classes; test pictures are looked at in their tiles, and what is found there is joined."""

    head: DetectionHead

    def __call__(self, problem: Problem, train: Rows, test: Rows, setup: ControlSetup) -> Control:
        dataset = problem.dataset
        assert dataset.framing is not None, "set where targets are boxes"
        tiles = {int(row): tiles_of(dataset.examples[row], dataset.framing) for row in test}
        each = sum(map(len, tiles.values())) / max(1, len(test))
        test = subset(problem, test, max(2, int(setup.max_test / each)))
        train = subset(problem, train, setup.max_labels)
        shown = [tile for row in test for tile in tiles[int(row)]]
        examples = (*(dataset.examples[row] for row in train), *shown)
        part = replace(dataset, examples=examples, side={})
        flat = replace(problem, dataset=part, labels=label_indices(part), groups=group_indices(part), memo={})
        rows = np.arange(len(examples))
        whole = replace(setup, max_labels=len(train), max_test=len(shown))
        control = RandomWeightControl(self.head)(flat, rows[: len(train)], rows[len(train) :], whole)
        pictures = [dataset.examples[row] for row in test]
        joined = [
            [
                _joined(picture, tiles[int(row)], own)
                for row, picture, own in zip(test, pictures, _by(found, test, tiles))
            ]
            for found in (control.predictions, control.transfer or [])
        ]
        return replace(control, predictions=joined[0], transfer=joined[1], rows=test)


def _by(found: Sequence[Prediction], test: Rows, tiles: dict[int, list[Example]]) -> list[Sequence[Prediction]]:
    """Predictions of all tiles, by picture."""
    ends = np.cumsum([len(tiles[int(row)]) for row in test]).tolist()
    return [found[end - len(tiles[int(row)]) : end] for row, end in zip(test, ends)]


def _joined(picture: Example, tiles: Sequence[Example], found: Sequence[Prediction]) -> Prediction:
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
