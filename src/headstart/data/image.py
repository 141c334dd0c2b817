"""Decode images: any Pillow format, EXIF orientation applied, 16-bit scaled, alpha on white, first frame."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from headstart.data.checked import Checked, UnusableInput, content_digest, existing_file
from headstart.stock.decode import to_rgb
from headstart.stock.regions import cropped, split_region

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".avif",
                      ".heic", ".heif"})  # fmt: skip
SKETCH_SIDE = 16
FLAT_CONTRAST = 1.0  # of 255; below it a sketch holds nothing but rounding


def load(path: str) -> Image.Image:
    """Open an image, or the part of one that a fragment names, as 8-bit RGB.

    Raises UnusableInput naming the fault: missing, empty, unknown format, truncated, too large.
    """
    file, region = split_region(path)
    if region is None:
        return _load_with_notes(file)[0]
    picture: Image.Image = cropped(_kept(file), region)
    return picture


@lru_cache(maxsize=2)
def _kept(file: str) -> Image.Image:
    """A picture of which several parts are wanted, one after the other."""
    return _load_with_notes(file)[0]


def check(path: str) -> Checked:
    """Decode once; hash the file, and sketch the picture so that near duplicates can be found.

    Of a name with a fragment the whole picture is looked at.
    """
    path, _ = split_region(path)
    image, notes = _load_with_notes(path)
    if min(image.size) < 2:
        raise UnusableInput("image too small", f"{image.size[0]}x{image.size[1]} pixels")
    digest = content_digest(Path(path).read_bytes())
    coarse = sketch(image)
    if coarse.std() < FLAT_CONTRAST:  # a flat picture has no structure to compare: only equal pixels count
        return Checked(digest, content_digest(str(image.size).encode() + image.tobytes()), notes, size=image.size)
    return Checked(digest, digest, notes, coarse.tobytes(), image.size)


def sketch(image: Image.Image) -> NDArray[np.float32]:
    """Mean brightness on a grid of 16 x 16, row by row (256,); steady under re-encoding and resizing."""
    fine = 8 * SKETCH_SIDE  # 64 pixels a cell average out the rounding to 8 bits
    grey = image.convert("L").resize((fine, fine), Image.Resampling.BILINEAR, reducing_gap=3.0)
    cells = np.asarray(grey, dtype=np.float32).reshape(SKETCH_SIDE, 8, SKETCH_SIDE, 8)
    means: NDArray[np.float32] = cells.mean((1, 3)).ravel()
    return means


def _load_with_notes(path: str) -> tuple[Image.Image, tuple[str, ...]]:
    file = existing_file(path)
    try:
        with Image.open(file) as opened:
            _refuse_bomb(opened.size)
            opened.load()
            return to_rgb(opened)
    except UnusableInput:
        raise
    except UnidentifiedImageError as error:
        raise UnusableInput("not a readable image", _format_hint(file)) from error
    except Image.DecompressionBombError as error:
        raise UnusableInput("image too large", str(error)[:200]) from error
    except (
        Exception
    ) as error:  # Pillow's readers raise whatever a damaged file makes them meet (struct.error, KeyError)
        detail = str(error)[:200] or type(error).__name__
        raise UnusableInput("damaged or truncated image", detail) from error


def _refuse_bomb(size: tuple[int, int]) -> None:
    """Pillow only warns between its limit and twice that; catching warnings is not safe across threads."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise UnusableInput("image too large", f"{size[0]}x{size[1]} pixels, more than {limit:,}; make a smaller copy")


def _format_hint(file: Path) -> str:
    if file.suffix.lower() in {".heic", ".heif"}:
        return "HEIC needs the plug-in pillow-heif, or convert the file to JPEG"
    return f"Pillow does not know the content of this {file.suffix or 'file'}"
