"""Encoder states as transformers gives them: a DataLoader with the stock feature extractor, the model's own encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

BATCH = 8
WORKERS = 2
SAMPLE_RATE_HZ = 16_000


class Recordings(torch.utils.data.Dataset[Any]):
    """Paths to log-mel frames."""

    def __init__(self, paths: list[str], extractor: Any) -> None:
        self.paths, self.extractor = paths, extractor

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        from headstart.stock.decode import read_audio  # soundfile and soxr

        samples = read_audio(self.paths[index], SAMPLE_RATE_HZ)
        return self.extractor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features[0]


def load(folder: Path) -> tuple[Any, Any]:
    """The encoder and the feature extractor."""
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()  # lets transformers import beside a CPU torch
    from transformers import AutoFeatureExtractor, WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    return model.get_encoder(), AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)


def states(encoder: Any, extractor: Any, paths: list[str]) -> list[Any]:
    """Encoder states, each (batch, 1500, D), decoding in DataLoader workers."""
    loader = torch.utils.data.DataLoader(Recordings(paths, extractor), batch_size=BATCH, num_workers=WORKERS)
    with torch.inference_mode():
        return [encoder(frames).last_hidden_state.numpy() for frames in loader]
