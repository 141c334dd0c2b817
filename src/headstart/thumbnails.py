"""Small pictures of inputs for the report."""

from __future__ import annotations

import io

from headstart.data import image
from headstart.data.checked import UnusableInput

SIDE = 160


def thumbnail_of(modality: str, path: str | None) -> bytes | None:
    """A JPEG of at most 160 pixels a side; None for what is not a readable image."""
    if modality != "image" or path is None:
        return None
    try:
        picture = image.load(path)
    except UnusableInput:
        return None
    picture.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return stream.getvalue()
