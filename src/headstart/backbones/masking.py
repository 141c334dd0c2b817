"""SpecAugment (Park et al. 2019, arXiv:1904.08779): parts of a recording are hidden while a whole network is tuned."""

from __future__ import annotations

import torch

TIME_SHARE = 0.05  # of the real frames, as wav2vec 2.0 and Whisper are tuned by default in transformers
SPAN_S = 0.1
BANDS_SHARE = 0.1  # of the bands at most, in one stripe


def hide_spectrum(features: torch.Tensor, frames_per_second: float) -> torch.Tensor:
    """Log-mel frames (B, bands, T) with spans of time and a stripe of bands set to the recording's mean, in a copy.

    Frames behind the recording, which all hold its smallest value, are not counted.
    """
    hidden = features.clone()
    span, n_bands = max(1, round(SPAN_S * frames_per_second)), features.shape[1]
    for row, clip in zip(hidden, features):
        heard = (clip.amax(0) > clip.min() + 1e-4).nonzero()
        real = int(heard[-1]) + 1 if len(heard) else clip.shape[1]
        mean = clip[:, :real].mean()
        for start, end in spans(real, span):
            row[:, start:end] = mean
        width = int(torch.randint(0, int(BANDS_SHARE * n_bands) + 1, ()))
        low = int(torch.randint(0, n_bands - width + 1, ()))
        row[low : low + width, :real] = mean
    return hidden


def hide_waves(waves: torch.Tensor, lengths: torch.Tensor, sample_rate_hz: int) -> torch.Tensor:
    """Samples (B, T) with spans set to zero, which is their mean, in a copy. lengths: (B,) of the real ones."""
    hidden = waves.clone()
    for row, length in zip(hidden, lengths.tolist()):
        for start, end in spans(int(length), round(SPAN_S * sample_rate_hz)):
            row[start:end] = 0.0
    return hidden


def spans(length: int, span: int) -> list[tuple[int, int]]:
    """Starts and ends of random spans that hide TIME_SHARE of the length on average, by torch's generator."""
    expected = TIME_SHARE * length / span
    count = int(expected) + int(torch.rand(()) < expected - int(expected))
    starts = torch.randint(0, max(1, length - span + 1), (count,)).tolist()
    return [(start, min(start + span, length)) for start in starts]
