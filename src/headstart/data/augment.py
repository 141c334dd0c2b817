"""Views of an image that training draws from: mirrored, upside down, cropped a little with other light."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

MIN_AREA = 0.8  # of the image that a crop keeps
LIGHT = 0.15  # brightness and contrast change by this share at most


def augmented(picture: Image.Image, view: str, digest: str) -> Image.Image:
    """The view of that name: "plain", "hflip", "vflip", "hvflip", or "crop" with a number.

    picture: RGB. digest: of the example; each example has its own crop under each number, the same in every run.
    """
    if view in ("hflip", "hvflip"):
        picture = ImageOps.mirror(picture)
    if view in ("vflip", "hvflip"):
        picture = ImageOps.flip(picture)
    if view.startswith("crop"):
        return _cropped(picture, np.random.default_rng([zlib.crc32(digest.encode()), int(view.removeprefix("crop"))]))
    return picture


def _cropped(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A random part in its own proportions, its brightness and contrast changed."""
    side = float(np.sqrt(rng.uniform(MIN_AREA, 1.0)))
    width, height = (max(1, round(side * size)) for size in picture.size)
    left, top = (int(rng.integers(0, size - kept + 1)) for size, kept in zip(picture.size, (width, height)))
    picture = picture.crop((left, top, left + width, top + height))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        picture = enhance(picture).enhance(float(rng.uniform(1 - LIGHT, 1 + LIGHT)))
    return picture
