"""Find objects in images with a saved detector folder, by timm and torchvision. Does not import headstart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

BATCH = 4
Square = tuple[int, int, int, int, tuple[float, float]]
NESTED = 0.8  # of a box's area inside a better one across the seam of two tiles: the same object, cut


def prepare() -> None:
    """Import what loading needs."""
    import timm  # noqa: F401
    import torchvision  # noqa: F401


def _sibling(name: str) -> Any:
    """A file beside this one, both as a script and inside a package."""
    return import_module(f"{__package__}.{name}" if __package__ else name)


def load(folder: str) -> tuple[Any, dict[str, Any], Any]:
    """The network, config.json, and what runs the network: images (n, 3, side, side) to its outputs."""
    _sibling("torchvision_ops").ensure()
    import timm
    import torch
    from safetensors.torch import load_file

    network = _sibling("detector_network")
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    weights = load_file(Path(folder) / "model.safetensors")
    model = timm.create_model(config["architecture"], pretrained=False, **config.get("model_args", {}))
    model.reset_classifier(0)
    taps = network.Taps(model)
    kinds = {"fcos": network.PyramidHead, "places": _sibling("place_head").PlaceHead}
    head = kinds[config["head"]](taps.strides, taps.channels, len(config["label_names"]))
    for module, prefix in ((model, "backbone."), (head, "head.")):
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        module.load_state_dict(own, strict=True)
    detector = network.Detector(taps, head).eval().to(memory_format=torch.channels_last)
    return detector, config, lambda images: detector(images.to(memory_format=torch.channels_last))


def squares(size: tuple[int, int], config: dict[str, Any]) -> list[Square]:
    """The parts of a picture that are looked at: left, top, width, height, and the network's pixels for each pixel,
    along x and y.
    """
    width, height = size
    side, tile, steps = config["side"], config["tile"], _sibling("regions").steps
    if tile is None:
        longest = max(width, height)
        fitted = (side / width, side / height) if config.get("stretch") else (side / longest, side / longest)
        return [(0, 0, width, height, fitted)]
    return [
        (x, y, min(tile, width), min(tile, height), (side / tile, side / tile))
        for y in steps(height, tile, config["overlap"])
        for x in steps(width, tile, config["overlap"])
    ]


def squared(picture: Any, square: Square, config: dict[str, Any]) -> Any:
    """That part of a Pillow image as the network sees it, (3, side, side): scaled, in the upper left corner."""
    import numpy as np
    import torch
    from PIL import Image

    left, top, width, height, (scale, _) = square
    side = config["side"]
    part = picture.crop((left, top, left + width, top + height)) if (width, height) != picture.size else picture
    wanted = (max(1, min(side, round(width * scale))), max(1, min(side, round(height * scale))))
    if part.size != wanted:
        part = part.resize(wanted, Image.Resampling.BILINEAR, reducing_gap=3.0)
    mean, std = (np.array(config[k], dtype=np.float32) for k in ("mean", "std"))
    values = np.zeros((side, side, 3), dtype=np.float32)
    values[: wanted[1], : wanted[0]] = (np.asarray(part, dtype=np.float32) / 255 - mean) / std
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def found_in(picture: Any, network: Any, config: dict[str, Any], shown: Any = squared) -> list[dict[str, Any]]:
    """Objects in a Pillow image, best first, in its own pixels.

    shown: (picture, square, config) -> what the network gets. network: (n, 3, side, side) -> for each square boxes,
    scores and labels, as `PyramidHead.found` gives them.
    """
    import torch

    parts = squares(picture.size, config)
    boxes, scores, labels, at_seam = [], [], [], []
    for start in range(0, len(parts), BATCH):
        batch = parts[start : start + BATCH]
        for part, one in zip(batch, network(torch.stack([shown(picture, part, config) for part in batch]))):
            left, top, width, height, scale = part
            corners = one["boxes"] / torch.tensor(scale).repeat(2)
            for axis, limit in ((0, width), (1, height)):
                corners[:, axis::2] = corners[:, axis::2].clamp(0, limit)
            at_seam.append(at_seams(corners, (left, top, width, height), picture.size))
            boxes.append(corners + torch.tensor([left, top, left, top]))
            scores.append(one["scores"])
            labels.append(one["labels"])
    kept = merged(torch.cat(boxes), torch.cat(scores), torch.cat(labels), torch.cat(at_seam))
    names = config["label_names"]
    return [
        {"label": names[label], "score": shifted(score, config["threshold"]), "box": [round(v, 1) for v in corners]}
        for corners, score, label in zip(*(values.tolist() for values in kept))
        if corners[2] - corners[0] > 0.5 and corners[3] - corners[1] > 0.5
    ]


def at_seams(corners: Any, region: tuple[int, int, int, int], size: tuple[int, ...]) -> Any:
    """Which boxes (n, 4) of a tile are cut by an edge of it that is no edge of the picture, (n,).

    region: left, top, width and height of the tile. size: width and height of the picture.
    """
    left, top, width, height = region
    found = (corners[:, 0] < 1) & (left > 0) | (corners[:, 1] < 1) & (top > 0)
    found |= (corners[:, 2] > width - 1) & (left + width < size[0])
    return found | (corners[:, 3] > height - 1) & (top + height < size[1])


def merged(boxes: Any, scores: Any, labels: Any, at_seam: Any) -> tuple[Any, Any, Any]:
    """One box for each object of overlapping tiles: boxes (n, 4), scores and labels, best first.

    at_seam: (n,) whether the box is cut by the edge of its tile. Such a box goes where a whole one holds most of it.
    """
    import torch
    from torchvision.ops import batched_nms

    network = _sibling("detector_network")
    kept = batched_nms(boxes, scores, labels, network.OVERLAP_THRESHOLD)
    boxes, scores, labels, at_seam = (values[kept] for values in (boxes, scores, labels, at_seam))
    whole = ~at_seam
    if at_seam.any() and whole.any():
        cut, full = boxes[at_seam], boxes[whole]
        top_left = torch.maximum(cut[:, None, :2], full[None, :, :2])
        bottom_right = torch.minimum(cut[:, None, 2:], full[None, :, 2:])
        inside = (bottom_right - top_left).clamp(min=0).prod(-1)
        share = inside / (cut[:, 2:] - cut[:, :2]).prod(-1).clamp(min=1e-6)[:, None]
        same = labels[at_seam][:, None] == labels[whole][None]
        again = ((share > NESTED) & same).any(1)
        stays = torch.ones(len(boxes), dtype=torch.bool)
        stays[torch.where(at_seam)[0][again]] = False
        boxes, scores, labels = boxes[stays], scores[stays], labels[stays]
    return boxes, scores, labels


def shifted(score: float, threshold: float) -> float:
    """The score on a scale where the threshold is 0.5: in log-odds both move by the same."""
    score, threshold = (min(max(p, 1e-6), 1 - 1e-6) for p in (score, threshold))
    odds = math.log(score / (1 - score)) - math.log(threshold / (1 - threshold))
    return round(1 / (1 + math.exp(-odds)), 4)


def predict(loaded: tuple[Any, dict[str, Any], Any], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """{"boxes": [{"label", "score", "box": [left, top, right, bottom]}]} for each image path, in order; boxes with a
    score of 0.5 or more count.
    """
    import torch

    decode, regions, parallel = _sibling("decode"), _sibling("regions"), _sibling("side_by_side")
    detector, config, run = loaded

    def network(images: Any) -> Any:
        return detector.head.found(run(images), config["side"])

    def work(name: str) -> dict[str, Any]:
        file, region = regions.split_region(name)
        with torch.inference_mode():
            return {"boxes": found_in(regions.cropped(decode.read_image(file), region), network, config)}

    yield from parallel.side_by_side(work, inputs)


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
