"""Log-mel statistics of a recording: what a baseline without any network hears."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from headstart.data import audio

RATE_HZ = 16_000
WINDOW, HOP, FFT = 400, 160, 512  # samples: 25 ms every 10 ms
MELS = 40
LOWEST_HZ, HIGHEST_HZ = 50.0, 7600.0
FLOOR = 1e-8


def log_mel_statistics(path: str) -> NDArray[np.float64]:
    """Mean and spread of each log-mel band over time, and the spread of its change between frames, (120,)."""
    samples = audio.load(path, RATE_HZ, audio.MAX_SECONDS)
    bands = log_mel(samples)  # (T, 40)
    change = np.diff(bands, axis=0) if len(bands) > 1 else np.zeros_like(bands)
    return np.concatenate([bands.mean(0), bands.std(0), change.std(0)])


def log_mel(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """Natural logarithm of the energy in each mel band, (T, 40), of samples at 16 kHz."""
    padded = np.pad(np.asarray(samples, dtype=np.float64), (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]  # (T, 400)
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), FFT)) ** 2  # (T, 257)
    return np.asarray(np.log(power @ _filters().T + FLOOR))


@cache
def _filters() -> NDArray[np.float64]:
    """Triangles evenly spaced in mel (O'Shaughnessy 1987), (40, 257)."""
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(lowest, highest, MELS + 2) / 2595) - 1)  # (42,)
    bins = np.arange(FFT // 2 + 1) * RATE_HZ / FFT
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rise, fall))
