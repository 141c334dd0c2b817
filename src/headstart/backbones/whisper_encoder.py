"""Whisper's encoder on less than its 30 seconds: with the first of its positions, as a stock setting has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

FRAMES_A_STATE = 2  # of the spectrogram: the stride of the second convolution


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
