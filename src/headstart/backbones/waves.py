"""Recordings as raw waves, for wav2vec 2.0 and its kin: read, padded, and what a mask of samples says of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.backbones.backbone import Item
from headstart.backbones.cut_network import mask_of
from headstart.data import audio

LENGTH_STEP = 1600  # samples that batches are padded to a multiple of
BATCH_SECONDS = 40


class WaveInputs:
    """How one model is given recordings.

    model: with the convolutions' sizes in its configuration. sees_padding: whether answers depend on how far a batch is
    padded, so that only recordings of one length share one.
    """

    def __init__(self, extractor: Any, model: Any, sees_padding: bool) -> None:
        self.extractor = extractor
        self.sample_rate_hz = int(extractor.sampling_rate)
        self._sizes = list(zip(model.config.conv_kernel, model.config.conv_stride))
        self._step = 1 if sees_padding else LENGTH_STEP

    @property
    def batch_budget(self) -> int:
        """Samples in one batch."""
        return BATCH_SECONDS * self.sample_rate_hz

    def encode(self, path: str, max_seconds: float | None = None) -> Item:
        """One recording, (samples,), scaled as the model's feature extractor does. Raises UnusableInput."""
        samples = audio.load(path, self.sample_rate_hz, max_seconds)
        values = self.extractor(samples, sampling_rate=self.sample_rate_hz, return_tensors="np")
        return {"input_values": np.asarray(values["input_values"][0], dtype=np.float32)}

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        """input_values and attention_mask, (B, samples)."""
        lengths = [len(item["input_values"]) for item in items]
        longest = -(-max(lengths) // self._step) * self._step
        waves = np.zeros((len(items), longest), dtype=np.float32)
        for row, item in enumerate(items):
            waves[row, : lengths[row]] = item["input_values"]
        return {"input_values": waves, "attention_mask": mask_of(lengths, longest).numpy()}

    def frames(self, samples: int) -> int:
        """How many frames so many samples make."""
        for kernel, stride in self._sizes:
            samples = (samples - kernel) // stride + 1
        return samples

    def mask_behind(self, frames: Sequence[int]) -> torch.Tensor:
        """(B, samples): a mask of as many samples as make these frames at least, which is what stands for them."""
        return mask_of([self._samples(n) for n in frames])

    def _samples(self, frames: int) -> int:
        for kernel, stride in self._sizes[::-1]:
            frames = (frames - 1) * stride + kernel
        return frames
