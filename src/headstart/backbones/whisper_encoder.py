"""What Whisper's encoder hears, and how it hears less than 30 seconds: with the first of its positions, as a stock
setting has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

FRAMES_A_STATE = 2  # of the spectrogram: the stride of the second convolution


def spectrogram(extractor: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel frames (bands, T) of a recording, with silence to the end of what the encoder hears, as the stock
    extractor makes them.

    samples: (n,) at the extractor's rate. Frames behind the sound are all equal, so that one is computed and repeated:
    for short recordings in an eighth of the time (docs/log.md). Dithered ones differ.
    """
    hop = extractor.hop_length
    silence = np.zeros(extractor.n_fft + hop + -len(samples) % hop, dtype=np.float32)  # holds a frame without sound
    given, padding = np.concatenate([samples, silence]), "do_not_pad"
    if len(given) >= extractor.n_samples or getattr(extractor, "dither", 0.0):
        given, padding = samples, "max_length"
    made = extractor(given, sampling_rate=extractor.sampling_rate, padding=padding, return_tensors="np")
    found = np.asarray(made.input_features[0], dtype=np.float32)
    return np.pad(found, ((0, 0), (0, extractor.nb_max_frames - found.shape[1])), mode="edge")


def shorten(encoder: Any, positions: int) -> None:
    """Leave the encoder the first of its positions, so that it takes spectrograms of so many states."""
    encoder.embed_positions = nn.Embedding.from_pretrained(encoder.embed_positions.weight[:positions].clone())
    encoder.config.max_source_positions = positions


def states(encoder: Any, features: torch.Tensor) -> torch.Tensor:
    """Log-mel frames (B, bands, T) to states (B, T/2, D), where T may be less than the encoder was made for."""
    whole, positions = encoder.embed_positions, features.shape[-1] // FRAMES_A_STATE
    try:
        if positions < whole.num_embeddings:
            shorten(encoder, positions)
        found: torch.Tensor = encoder(features).last_hidden_state
    finally:
        encoder.embed_positions, encoder.config.max_source_positions = whole, whole.num_embeddings
    return found
