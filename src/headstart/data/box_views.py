"""Views of a picture that a detector learns from: mirrored, or nearer, farther and shifted; boxes move with it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

UPRIGHT = ("plain", "hflip", "zoom1", "zoom2", "zoom3", "zoom4")
FROM_ABOVE = ("plain", "hflip", "vflip", "hvflip", "zoom1", "zoom2", "zoom3", "zoom4")
"""For tiles: maps and microscopes know no up. Zoomed views may be upside down, too."""
NEARER = 1.4  # at most, and as much farther
LIGHT = 0.2  # brightness and contrast change by this share at most
SHOWN = 0.4  # of an object's area, for it to be asked for in a view


@dataclass(frozen=True)
class View:
    """x' = x_scale * x + x_shift, and the same for y, in pixels. light, contrast: factors."""

    x_scale: float = 1.0
    x_shift: float = 0.0
    y_scale: float = 1.0
    y_shift: float = 0.0
    light: float = 1.0
    contrast: float = 1.0

    def picture(self, picture: Image.Image) -> Image.Image:
        """The changed picture, of the same size; what lies outside of the old one is grey."""
        if (self.x_scale, self.y_scale, self.x_shift, self.y_shift) != (1, 1, 0, 0):
            back = (1 / self.x_scale, 0.0, -self.x_shift / self.x_scale,
                    0.0, 1 / self.y_scale, -self.y_shift / self.y_scale)  # fmt: skip
            picture = picture.transform(
                picture.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR, fillcolor=(124, 116, 104)
            )
        for enhance, factor in ((ImageEnhance.Brightness, self.light), (ImageEnhance.Contrast, self.contrast)):
            if factor != 1.0:
                picture = enhance(picture).enhance(factor)
        return picture

    def corners(
        self, corners: NDArray[np.float64], size: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Where boxes (n, 4) come to lie, cut at the picture's edges, and which still show enough of their object."""
        x = np.sort(self.x_scale * corners[:, [0, 2]] + self.x_shift, axis=1)
        y = np.sort(self.y_scale * corners[:, [1, 3]] + self.y_shift, axis=1)
        moved = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
        inside = np.clip(moved, 0.0, np.array([*size, *size], dtype=np.float64))
        before, after = ((c[:, 2:] - c[:, :2]).prod(1) for c in (moved, inside))
        return inside, np.asarray(after >= np.maximum(SHOWN * before, 1.0))


def view_named(name: str, digest: str, size: tuple[int, int], from_above: bool) -> View:
    """The view of that name of a picture; each has its own zoomed ones, the same in every run.

    digest: of the picture. size: width and height. from_above: whether it may be upside down.
    """
    width, height = size
    if name.startswith("zoom"):
        return _zoomed(np.random.default_rng([zlib.crc32(digest.encode()), int(name[4:])]), size, from_above)
    x = (-1.0, float(width)) if name in ("hflip", "hvflip") else (1.0, 0.0)
    y = (-1.0, float(height)) if name in ("vflip", "hvflip") else (1.0, 0.0)
    return View(*x, *y)


def _zoomed(rng: np.random.Generator, size: tuple[int, int], from_above: bool) -> View:
    factor = float(np.exp(rng.uniform(-np.log(NEARER), np.log(NEARER))))
    x, y = (_one_way(rng, side, factor, flips) for side, flips in zip(size, (True, from_above)))
    light, contrast = (float(rng.uniform(1 - LIGHT, 1 + LIGHT)) for _ in range(2))
    return View(*x, *y, light, contrast)


def _one_way(rng: np.random.Generator, side: int, factor: float, may_flip: bool) -> tuple[float, float]:
    """Scale and shift along one side."""
    room = side - side / factor  # of the old picture that is not shown; negative where more than it is
    start = float(rng.uniform(min(room, 0.0), max(room, 0.0)))
    scale, shift = factor, -factor * start
    return (-scale, side - shift) if may_flip and bool(rng.integers(2)) else (scale, shift)
