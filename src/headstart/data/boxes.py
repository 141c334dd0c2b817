"""Boxes around objects: how a target text holds them, and what of them can be used."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 1.0  # pixels; what is thinner holds no object
Corners = tuple[float, float, float, float]  # left, top, right, bottom in pixels, x to the right and y down


@dataclass(frozen=True)
class Box:
    """An object: its class, and its corners in pixels.

    crowd: stands for several objects, or shows too little of one: never counted as missed, and what is found there not
    as false (COCO's iscrowd).
    """

    label: str
    corners: Corners
    crowd: bool = False

    @property
    def area(self) -> float:
        """Square pixels."""
        left, top, right, bottom = self.corners
        return max(0.0, right - left) * max(0.0, bottom - top)

    @property
    def side(self) -> float:
        """Side of the square of that area, in pixels."""
        return math.sqrt(self.area)


def as_target(boxes: Iterable[Box]) -> str:
    """The boxes as one text, which `boxes_of` reads."""
    rows = [
        {"label": b.label, "box": [round(v, 2) for v in b.corners], **({"crowd": True} if b.crowd else {})}
        for b in boxes
    ]
    return json.dumps(rows, ensure_ascii=False)


def boxes_of(target: str | None) -> tuple[Box, ...]:
    """The boxes in a text that `as_target` made."""
    rows: list[dict[str, Any]] = json.loads(target) if target else []
    found = []
    for row in rows:
        left, top, right, bottom = row["box"]
        found.append(Box(row["label"], (left, top, right, bottom), bool(row.get("crowd"))))
    return tuple(found)


def corners_of(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """(n, 4)."""
    return np.array([b.corners for b in boxes], dtype=np.float64).reshape(-1, 4)


def usable(cell: str, size: tuple[int, int]) -> tuple[tuple[Box, ...], Counter[str]]:
    """The boxes of a picture that can be used, and how many were mended or left out, by reason.

    cell: a JSON list of {"label", "box": [left, top, right, bottom]}, with "relative": true where these are shares of
    width and height, and "crowd": true. size: of the picture, width and height in pixels.
    """
    width, height = size
    faults: Counter[str] = Counter()
    found: dict[tuple[str, Corners], Box] = {}
    for row in json.loads(cell) if cell.strip() else []:
        values = [float(v) for v in row["box"]]
        if not all(map(math.isfinite, values)):
            faults["boxes with corners that are not numbers: left out"] += 1
            continue
        if row.get("relative"):
            values = [v * side for v, side in zip(values, (width, height, width, height))]
        left, top, right, bottom = values
        if left > right or top > bottom:
            faults["boxes with swapped corners: put in order"] += 1
            left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
        if right - left < MIN_SIDE or bottom - top < MIN_SIDE:
            faults["boxes without an area: left out"] += 1
            continue
        inside = (max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom))
        if inside[2] - inside[0] < MIN_SIDE or inside[3] - inside[1] < MIN_SIDE:
            faults["boxes outside of their image: left out"] += 1
            continue
        if max(-left, -top, right - width, bottom - height) > 1.0:  # a pixel is rounding
            faults["boxes that reach over the edge of their image: cut there"] += 1
        corners: Corners = (round(inside[0], 2), round(inside[1], 2), round(inside[2], 2), round(inside[3], 2))
        if (row["label"], corners) in found:
            faults["boxes given twice: counted once"] += 1
            continue
        found[row["label"], corners] = Box(row["label"], corners, bool(row.get("crowd")))
    return tuple(found.values()), faults


def within(boxes: Iterable[Box], region: tuple[int, int, int, int], min_share: float) -> tuple[Box, ...]:
    """The boxes as a part of the picture shows them, from its own corner; where it shows less than min_share of one,
    as a crowd.

    region: left, top, width, height.
    """
    x, y, width, height = region
    found = []
    for box in boxes:
        left, top, right, bottom = box.corners
        corners = (max(left - x, 0.0), max(top - y, 0.0), min(right - x, width), min(bottom - y, height))
        shown = replace(box, corners=corners)
        if corners[2] - corners[0] < MIN_SIDE or corners[3] - corners[1] < MIN_SIDE:
            continue
        found.append(replace(shown, crowd=box.crowd or shown.area < min_share * box.area))
    return tuple(found)
