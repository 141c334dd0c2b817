"""Small files of every kind, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A smooth coloured pattern; different seeds look different."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def tone(hertz: float = 440, seconds: float = 0.5, rate_hz: int = 16_000) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_pictures(folder: Path, classes: dict[str, int], ending: str = ".png") -> Path:
    """folder/<class>/<n>.png, every picture different."""
    seed = sum(ord(c) for c in folder.name) * 1000
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            seed += 1
            picture(seed).save(folder / name / f"{number}{ending}")
    return folder
