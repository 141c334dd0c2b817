"""How much arithmetic an extraction needs, whoever does it: multiply-adds of the inputs' real, unpadded content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.sources.catalog import CATALOG
from headstart.types import CatalogEntry


def work(model: str, folder: Path, inputs: Sequence[str]) -> tuple[float, float]:
    """(units, multiply-adds) of all inputs. Units: images, real tokens (after truncation), recordings."""
    entry = CATALOG[model]
    if entry.modality == "image":
        return len(inputs), len(inputs) * entry.multiply_adds
    config = json.loads((folder / "config.json").read_text())
    if entry.modality == "audio":
        return len(inputs), len(inputs) * whisper_encoder(config)
    return text_encoder(entry, config, _token_counts(folder, inputs))


def text_encoder(entry: CatalogEntry, config: dict[str, Any], tokens: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Sums for texts of these lengths, float (N,).

    The catalog's count is for 256 tokens; 2·layers·width·T² of it is attention, the rest grows with T.
    """
    attention = 2 * config["num_hidden_layers"] * config["hidden_size"]
    linear = (entry.multiply_adds - attention * 256**2) / 256
    return float(tokens.sum()), float((linear * tokens + attention * tokens**2).sum())


def _token_counts(folder: Path, inputs: Sequence[str]) -> np.ndarray[Any, Any]:
    from tokenizers import Tokenizer

    longest = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return np.array([len(e.ids) for e in tokenizer.encode_batch(list(inputs))], dtype=np.float64)


def whisper_encoder(config: dict[str, Any]) -> int:
    """One recording, whatever its length: Whisper pads to 30 s, 3,000 frames, and its encoder sees them all.

    Two convolutions over three frames, the second with stride 2; then layers with four projections, two feed-forward
    maps, and the two products of attention. The catalog's count has the decoder over its start tokens as well.
    """
    width, positions = config["d_model"], config["max_source_positions"]
    convolutions = 3 * 2 * positions * config["num_mel_bins"] * width + 3 * positions * width**2
    linear = positions * (4 * width**2 + 2 * width * config["encoder_ffn_dim"])
    return int(convolutions + config["encoder_layers"] * (linear + 2 * width * positions**2))
