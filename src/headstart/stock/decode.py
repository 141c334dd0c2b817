"""Decode files the one way that training and every loader of a saved model share. Does not import headstart."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageOps

_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L"})


def to_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """8-bit RGB and what was unusual: EXIF turned upright, wide values scaled, alpha put on white, first frame.

    Raises ValueError for NaN or infinite pixels.
    """
    notes: list[str] = []
    if getattr(image, "n_frames", 1) > 1:
        image.seek(0)
        notes.append("animated or multi-page images: first frame used")
    image = ImageOps.exif_transpose(image)
    if image.mode in _WIDE_MODES:
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("image holds NaN or infinite values")
        spread = float(np.ptp(values)) or 1.0
        image = Image.fromarray(((values - values.min()) / spread * 255).astype(np.uint8))
        notes.append("16-bit or float images: scaled by their own range")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB"), (*notes, "transparent images: put on white")
    return image.convert("RGB"), tuple(notes)


def read_image(path: str) -> Image.Image:
    """Open a file as 8-bit RGB."""
    with Image.open(path) as opened:
        opened.load()
        return to_rgb(opened)[0]


def to_mono(samples: Any, rate_hz: int, wanted_hz: int) -> Any:
    """Mix (frames, channels) to mono float32 at the wanted rate, (samples,)."""
    mono = np.ascontiguousarray(np.asarray(samples, dtype=np.float32).mean(axis=1))
    if rate_hz == wanted_hz:
        return mono
    import soxr

    return np.ascontiguousarray(soxr.resample(mono, rate_hz, wanted_hz), dtype=np.float32)


def read_audio(path: str, rate_hz: int = 16_000, max_seconds: float | None = None) -> Any:
    """Read a recording as mono float32 (samples,) at the given rate; of a longer one the first max_seconds."""
    import soundfile

    frames = -1 if max_seconds is None else int(max_seconds * soundfile.info(path).samplerate)
    samples, rate = soundfile.read(path, frames=frames, dtype="float32", always_2d=True)
    return to_mono(samples, rate, rate_hz)
