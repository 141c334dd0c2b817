"""A part of a picture as a file name with a media fragment, "photo.tif#xywh=0,416,416,416" (W3C Media Fragments).

Does not import headstart.
"""

from __future__ import annotations

import math
import re
from typing import Any

_FRAGMENT = re.compile(r"#xywh=(\d+),(\d+),(\d+),(\d+)$")
Region = tuple[int, int, int, int]  # left, top, width, height in pixels


def split_region(name: str) -> tuple[str, Region | None]:
    """The file, and which part of it is meant; None for all of it."""
    found = _FRAGMENT.search(name)
    if found is None:
        return name, None
    left, top, width, height = (int(part) for part in found.groups())
    return name[: found.start()], (left, top, width, height)


def size_of(name: str) -> tuple[int, int]:
    """Width and height of the region that a name holds. Raises ValueError where it holds none."""
    region = split_region(name)[1]
    if region is None:
        raise ValueError(f"{name} names no region")
    return region[2:]


def with_region(file: str, region: Region) -> str:
    """The name of a part of a file."""
    return f"{file}#xywh={','.join(map(str, region))}"


def cropped(picture: Any, region: Region | None) -> Any:
    """That part of a Pillow image."""
    if region is None:
        return picture
    left, top, width, height = region
    return picture.crop((left, top, left + width, top + height))


def steps(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side: the fewest with at least that overlap, evenly spread, from edge to edge."""
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(n * (length - tile) / (count - 1)) for n in range(count)]
