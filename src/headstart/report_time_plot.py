"""Geometry of the report's plot of the score against seconds: with transfer, and from random weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.report_plots import Point, Scale, is_number, scale

ROUND_SECONDS = (1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10_800, 36_000)


@dataclass(frozen=True)
class TimePlot:
    """transfer, scratch: places of the scores. marks: (place from the left in percent, words); the axis is
    logarithmic.
    """

    transfer: tuple[Point, ...]
    scratch: tuple[Point, ...]
    y: Scale
    marks: tuple[tuple[float, str], ...]

    @property
    def transfer_path(self) -> str:
        """The points attribute of an SVG polyline in a 100 by 100 box: steps that last to the end."""
        if not self.transfer:
            return ""
        steps: list[tuple[float, float]] = []
        for point in self.transfer:
            steps += [(point.x, steps[-1][1])] if steps else []
            steps.append((point.x, point.y))
        steps.append((100.0, steps[-1][1]))
        return " ".join(f"{x},{y}" for x, y in steps)

    @property
    def scratch_path(self) -> str:
        """The same for the scores from random weights, joined by lines."""
        return " ".join(f"{point.x},{point.y}" for point in self.scratch)


def time_plot(part: Mapping[str, Any] | None) -> TimePlot | None:
    """The plot of result.json's `scratch` or `proof`; None where one of both sides has no scores."""
    scratch, transfer = _drawable(part, "points"), _drawable(part, "transfer")
    if not scratch or not transfer:
        return None
    seconds = [float(row["seconds"]) for row in (*scratch, *transfer)]
    low, high = math.log(max(min(seconds), 0.5)), math.log(max(seconds))

    def x(value: float) -> float:
        return round(100 * min(max((math.log(max(value, 0.5)) - low) / ((high - low) or 1.0), 0.0), 1.0), 2)

    y = scale([float(row["value"]) for row in (*scratch, *transfer)])

    def places(rows: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
        return tuple(Point(x(row["seconds"]), round(100 - y.at(row["value"]), 2)) for row in rows)

    marks = tuple((x(s), _words(s)) for s in ROUND_SECONDS if low <= math.log(s) <= high)
    return TimePlot(places(transfer), places(scratch), y, marks)


def _drawable(part: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    rows = (part or {}).get(name)
    found = rows if isinstance(rows, list) else []
    return [row for row in found if is_number(row.get("seconds")) and is_number(row.get("value"))]


def _words(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"
