"""Pictures for benchmarks: letters in Debian's fonts to pretrain on, scikit-learn's handwritten digits to try it on."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

from debian_files import unpack
from headstart.demo_data.folders import build_once
from headstart.types import Reporter

PACKAGES = ("fonts-urw-base35", "fonts-liberation", "fonts-comic-neue")
SYMBOLS = ("D050000L", "StandardSymbolsPS")  # fonts without letters
LETTERS = string.ascii_letters
SIDE, POINTS, DRAWN = 64, 44, 8  # pixels of a letter's picture, its font's size, pixels that a digit was recorded with
MISSING_APT = "The fonts need a Debian or Ubuntu machine: they are Debian packages, and there is no apt-get."


def prepare(root: Path, reporter: Reporter) -> Path:
    """Write `<root>/letters/` with one folder of 64 x 64 PNGs, white on black, for each letter; returns it.

    Raises MachineError without apt. Source: URW base 35 (AGPL with a font exception), Liberation and Comic Neue (OFL).
    """

    def build(staging: Path, scratch: Path) -> None:
        unpacked = unpack(PACKAGES, scratch, MISSING_APT)
        files = sorted(f for kind in ("*.otf", "*.ttf") for f in unpacked.rglob(kind))
        fonts = {f.stem: ImageFont.truetype(f, POINTS) for f in files if not f.stem.startswith(SYMBOLS)}
        for letter in LETTERS:
            folder = staging / _folder(letter)
            folder.mkdir()
            for name, font in fonts.items():
                picture = Image.new("L", (SIDE, SIDE))
                ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), letter, fill=255, font=font, anchor="mm")
                picture.save(folder / f"{name}.png")
        reporter.say(f"Prepared {len(LETTERS)} letters in {len(fonts)} fonts.")

    return build_once(root / "letters", {"packages": list(PACKAGES)}, 100_000_000, reporter, build)


def read(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """All letters, (N, 1, 64, 64) from 0 to 1, and their classes (N,)."""
    pictures, classes = [], []
    for label, letter in enumerate(LETTERS):
        for file in sorted((folder / _folder(letter)).glob("*.png")):
            pictures.append(np.asarray(Image.open(file), dtype=np.float32) / 255)
            classes.append(label)
    return torch.from_numpy(np.stack(pictures))[:, None], torch.tensor(classes)


def as_if_written(pictures: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Letters (B, 1, 64, 64) turned, slanted, stretched and moved at random, as coarse as the digits: (B, 3, s, s)."""
    count = len(pictures)

    def within(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    angle, slant, move = within(-0.35, 0.35), within(-0.4, 0.4), (within(-0.15, 0.15), within(-0.15, 0.15))
    across, up = within(0.55, 1.1), within(0.55, 0.95)  # of the letter's size: below 1 it grows
    affine = torch.stack([
        torch.stack([across * angle.cos(), across * (slant - angle.sin()), move[0]], dim=1),
        torch.stack([up * angle.sin(), up * angle.cos(), move[1]], dim=1),
    ], dim=1)  # fmt: skip
    grid = torch.nn.functional.affine_grid(affine, [count, 1, SIDE, SIDE], align_corners=False)
    moved = torch.nn.functional.grid_sample(pictures, grid, align_corners=False)
    thick = torch.nn.functional.max_pool2d(moved, 5, stride=1, padding=2)
    moved = torch.where((torch.rand(count, generator=generator) < 0.6)[:, None, None, None], thick, moved)
    coarse = torch.nn.functional.adaptive_avg_pool2d(moved, DRAWN)
    return torch.nn.functional.interpolate(coarse, size=side, mode="bilinear").clamp(0, 1).expand(-1, 3, -1, -1)


def write_digits(folder: Path, side: int, per_class: int, seed: int) -> Path:
    """Handwritten digits as PNGs: so many of each in train/<digit>, all others in test/<digit>. Returns the folder."""
    digits = load_digits()
    images: NDArray[np.float64] = digits.images
    rng, left = np.random.default_rng(seed), dict.fromkeys(range(10), per_class)
    for row in rng.permutation(len(images)):
        label = int(digits.target[row])
        part, left[label] = ("train" if left[label] > 0 else "test"), left[label] - 1
        place = folder / part / str(label)
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray((images[row] * 255 / 16).astype(np.uint8))
        coarse.resize((side, side), Image.Resampling.BILINEAR).save(place / f"{row:04d}.png")
    return folder


def _folder(letter: str) -> str:
    """A name that differs where a file system ignores case."""
    return ("upper-" if letter.isupper() else "lower-") + letter
