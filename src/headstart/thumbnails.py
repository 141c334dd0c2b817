"""Small pictures of inputs for the report."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from headstart.data import image
from headstart.data.box_drawing import draw_boxes
from headstart.data.checked import UnusableInput
from headstart.types import Dataset

SIDE = 160
SIDE_WITH_BOXES = 480


def thumbnails_of(result: Mapping[str, Any], dataset: Dataset) -> Callable[[str], bytes | None]:
    """What gives a report the pictures that it names: those with boxes have them drawn."""
    inputs = {e.id: e.input for e in dataset.examples}
    boxes = {row["input"]: row["boxes"] for row in result.get("examples") or [] if "boxes" in row}
    return lambda name: thumbnail_of(dataset.modality, inputs.get(name), boxes.get(name))


def thumbnail_of(
    modality: str, path: str | None, boxes: Mapping[str, Sequence[Sequence[float]]] | None = None
) -> bytes | None:
    """A JPEG of at most 160 pixels a side, or 480 with boxes drawn; None for what is not a readable image.

    boxes: found, missed and false ones, each as left, top, right and bottom in the picture's pixels.
    """
    if modality != "image" or path is None:
        return None
    try:
        picture = image.load(path)
    except UnusableInput:
        return None
    if boxes is None:
        picture.thumbnail((SIDE, SIDE))
    else:
        picture = _with_boxes(picture, boxes)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _with_boxes(picture: Image.Image, boxes: Mapping[str, Sequence[Sequence[float]]]) -> Image.Image:
    scale = SIDE_WITH_BOXES / max(picture.size)
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size])
    for kind, found in boxes.items():
        draw_boxes(picture, [[v * scale for v in box] for box in found], kind)
    return picture
