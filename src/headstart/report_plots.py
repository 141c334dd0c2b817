"""Geometry of the report's plots: values in, positions in percent of the plot out. The template draws them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WORDS_AT_MOST = 120  # of a transcript; longer ones are cut so that the report stays small


@dataclass(frozen=True)
class Scale:
    """A linear axis with ticks at round values."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Where a value lies, in percent of the axis, kept within 0 to 100."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


@dataclass(frozen=True)
class Point:
    """A place on a plot in percent from the left and from the top; size is a radius in pixels."""

    x: float
    y: float
    size: float = 3.0


@dataclass(frozen=True)
class Line:
    """One curve: its points, the axes, and the index of its best value."""

    points: tuple[Point, ...]
    x: Scale
    y: Scale
    best: int

    @property
    def path(self) -> str:
        """The points attribute of an SVG polyline in a 100 by 100 box."""
        return " ".join(f"{point.x},{point.y}" for point in self.points)


@dataclass(frozen=True)
class Stage:
    """A part of a stacked bar, in percent of its length; shade is the strength of its colour in percent."""

    name: str
    start: float
    width: float
    shade: int


@dataclass(frozen=True)
class Words:
    """A run of words that are the same in target and output, or not."""

    text: str
    same: bool


def is_number(value: object) -> bool:
    """Whether a value can be drawn: a finite int or float, not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def scale(values: Sequence[float], from_zero: bool = False, at_least: float | None = None, ticks: int = 4) -> Scale:
    """An axis that holds all values.

    from_zero: start at 0, as bars need. at_least: reach at least this value. ticks: about how many.
    """
    low = min(0.0, *values) if from_zero else min(values)
    high = max(values) if at_least is None else max(*values, at_least)
    if high <= low:
        # all values equal: give them room, so that nothing is divided by zero
        margin = abs(high) * 0.1 or 1.0
        low, high = (low if from_zero else low - margin), high + margin
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = tuple(float(np.round(step * index, 12)) for index in range(first, last + 1))
    return Scale(marks[0], marks[-1], marks)


def _round_step(step: float) -> float:
    """The next larger of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def curve(rows: Sequence[dict[str, Any]], name: str, lower_is_better: bool = True) -> Line | None:
    """One column of a training curve against the epoch; None with fewer than two drawable values."""
    if len(rows) < 2 or not all(is_number(row.get(name)) for row in rows):
        return None
    epochs = [float(row.get("epoch", index + 1)) for index, row in enumerate(rows)]
    values = [float(row[name]) for row in rows]
    x, y = Scale(epochs[0], epochs[-1], (epochs[0], epochs[-1])), scale(values, ticks=3)
    points = tuple(Point(x.at(epoch), round(100 - y.at(value), 2)) for epoch, value in zip(epochs, values))
    return Line(points, x, y, int(np.argmin(values) if lower_is_better else np.argmax(values)))


def reliability(bins: Sequence[dict[str, Any]]) -> list[Point]:
    """Said probability against share right; the area of a dot follows the number of examples in the bin."""
    most = max((row["n"] for row in bins), default=1) or 1
    return [
        Point(round(100 * row["confidence"], 2), round(100 - 100 * row["accuracy"], 2), _radius(row["n"] / most))
        for row in bins
        if row["n"]
    ]


def _radius(share: float) -> float:
    return round(3.0 + 8.0 * math.sqrt(share), 2)


def stages(seconds: Mapping[str, Any], budget_seconds: float | None) -> list[Stage]:
    """The stages of a run one after the other, on a bar as long as the budget or the time spent."""
    known = {name: float(value) for name, value in seconds.items() if is_number(value) and value >= 0}
    budget = float(budget_seconds) if budget_seconds is not None and is_number(budget_seconds) else 0.0
    whole = max(sum(known.values()), budget) or 1.0
    parts: list[Stage] = []
    so_far = 0.0
    for index, (name, value) in enumerate(known.items()):
        shade = round(100 - 75 * index / max(len(known) - 1, 1))
        parts.append(Stage(name, round(100 * so_far / whole, 3), round(100 * value / whole, 3), shade))
        so_far += value
    return parts


def row_shares(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Each cell of a confusion matrix as a share of its row, 0 where the row is empty."""
    counts = np.asarray(matrix, dtype=float)  # (C, C)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    rounded: list[list[float]] = np.round(shares, 3).tolist()
    return rounded


def most_confused(matrix: Sequence[Sequence[float]], count: int) -> list[tuple[int, int]]:
    """(target, output) indices of the most frequent mistakes, most frequent first."""
    counts = np.asarray(matrix, dtype=float).copy()  # (C, C)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    pairs = [(int(index) // len(counts), int(index) % len(counts)) for index in order]
    return [(i, j) for i, j in pairs if counts[i, j] > 0]


def compare_words(target: str, output: str) -> tuple[list[Words], list[Words]]:
    """Both texts cut into runs of equal and different words; case and punctuation don't count.

    Texts without spaces (Chinese, Japanese) are compared by character.
    """
    glue = " " if " " in target.strip() or len(target) <= 12 else ""
    left, right = _tokens(target, glue), _tokens(output, glue)
    matcher = difflib.SequenceMatcher(None, [_plain(w) for w in left], [_plain(w) for w in right], autojunk=False)
    lines: tuple[list[Words], list[Words]] = ([], [])
    for tag, start, stop, other_start, other_stop in matcher.get_opcodes():
        for line, tokens in zip(lines, (left[start:stop], right[other_start:other_stop])):
            if tokens:
                line.append(Words(glue.join(tokens), tag == "equal"))
    return lines


def _tokens(text: str, glue: str) -> list[str]:
    tokens = text.split() if glue else list(text)
    return tokens if len(tokens) <= WORDS_AT_MOST else [*tokens[:WORDS_AT_MOST], "…"]


def _plain(word: str) -> str:
    return re.sub(r"[^\w']+", "", word).casefold() or word


def precision_recall(points: Sequence[Mapping[str, float]] | None) -> str | None:
    """The points attribute of a polyline of precision (up) against recall (to the right), in a 100 by 100 box."""
    if not points or len(points) < 2:
        return None
    return " ".join(f"{100 * p['recall']:.2f},{100 - 100 * p['precision']:.2f}" for p in points)
