"""Draw boxes on pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

COLOURS = {"found": "#1f9d55", "missed": "#e0a800", "false": "#d64545"}
CLASS_COLOURS = ("#d64545", "#1f77d0", "#e0a800", "#1f9d55", "#8e44ad", "#e8590c", "#0b8a8a", "#c2185b")
DASH = 6


def draw_boxes(picture: Image.Image, boxes: Sequence[Sequence[float]], kind: str) -> None:
    """Draw boxes (left, top, right, bottom in pixels) in place; kind: found, missed (dashed) or false."""
    pen = ImageDraw.Draw(picture)
    for left, top, right, bottom in boxes:
        if kind != "missed":
            pen.rectangle((left, top, right, bottom), outline=COLOURS[kind], width=2)
            continue
        for start, end in (((left, top), (right, top)), ((left, bottom), (right, bottom)),
                           ((left, top), (left, bottom)), ((right, top), (right, bottom))):  # fmt: skip
            _dashed(pen, start, end, COLOURS[kind])


def _dashed(pen: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    count = max(1, int(length // DASH))
    points = [tuple(a + (b - a) * n / count for a, b in zip(start, end)) for n in range(count + 1)]
    for first, second in list(itertools.pairwise(points))[::2]:
        pen.line((*first, *second), fill=colour, width=2)


def draw_named(
    picture: Image.Image, boxes: Sequence[tuple[str, float, Sequence[float]]], classes: Sequence[str]
) -> Image.Image:
    """A copy with boxes of (label, score, corners), each class in its colour, named where there are several classes."""
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    width = max(2, round(max(picture.size) / 600))
    font = ImageFont.load_default(size=max(11, round(max(picture.size) / 70)))
    for label, score, (left, top, right, bottom) in boxes:
        colour = CLASS_COLOURS[(classes.index(label) if label in classes else 0) % len(CLASS_COLOURS)]
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)
        if len(classes) > 1:
            told = f"{label} {score:.2f}"
            pen.rectangle(pen.textbbox((left, top), told, font=font), fill=colour)
            pen.text((left, top), told, fill="white", font=font)
    return drawn
