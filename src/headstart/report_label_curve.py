"""Geometry of the report's plot of the score against the number of labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.report_plots import Point, Scale, is_number, scale


@dataclass(frozen=True)
class LabelPlot:
    """measured, predicted: places of the values; bands: the outlines of both intervals, as SVG polygons.

    marks: (place from the left in percent, labels) for the axis, which is logarithmic.
    """

    measured: tuple[Point, ...]
    predicted: tuple[Point, ...]
    measured_band: str
    predicted_band: str
    y: Scale
    marks: tuple[tuple[float, int], ...]

    @property
    def measured_path(self) -> str:
        """The points attribute of an SVG polyline in a 100 by 100 box."""
        return _path(self.measured)

    @property
    def predicted_path(self) -> str:
        """The same for what is predicted; it begins at the last measured point."""
        return _path((self.measured[-1], *self.predicted))


def label_plot(curve: Mapping[str, Any] | None) -> LabelPlot | None:
    """The plot of result.json's `label_curve`; None where it has not been measured."""
    points, predicted = list((curve or {}).get("points") or []), list((curve or {}).get("predicted") or [])
    rows = [*points, *predicted]
    if len(points) < 2 or not all(
        is_number(row.get(key)) for row in rows for key in ("labels", "value", "low", "high")
    ):
        return None
    sizes = [float(row["labels"]) for row in rows]
    low, high = math.log(min(sizes)), math.log(max(sizes))

    def x(row: Mapping[str, Any]) -> float:
        return round(100 * (math.log(row["labels"]) - low) / ((high - low) or 1.0), 2)

    y = scale([float(row[key]) for row in rows for key in ("value", "low", "high")])

    def places(part: Sequence[Mapping[str, Any]], key: str) -> tuple[Point, ...]:
        return tuple(Point(x(row), round(100 - y.at(float(row[key])), 2)) for row in part)

    def band(part: Sequence[Mapping[str, Any]]) -> str:
        return _path((*places(part, "high"), *reversed(places(part, "low"))))

    shown = [*points, predicted[-1]] if predicted else points
    marks = tuple((x(row), int(row["labels"])) for row in shown)
    return LabelPlot(
        places(points, "value"),
        places(predicted, "value"),
        band(points),
        band([points[-1], *predicted]) if predicted else "",
        y,
        marks,
    )


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{point.x},{point.y}" for point in points)
