"""Audio encoders through transformers as classifiers of whole recordings: Whisper's, wav2vec 2.0 and its kin, AST.

Pooled features are what the stock classifier reads, so that the head folds into it exactly: the mean over real frames
(wav2vec 2.0, HuBERT, WavLM), the mean over the seconds that Whisper always hears, AST's two class tokens after their
norm. Whisper's are 30, or fewer where the positions behind them are left out: a setting of stock checkpoints.
Recipe: AdamW, warm-up 10%; the published rates for tuning every layer are 1e-5 to 3e-5, fewer layers take more.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones import whisper_encoder
from headstart.backbones.adapters import adapter_for
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.cut_network import CutNetwork
from headstart.backbones.transformers_load import labelled, load_pretrained
from headstart.backbones.waves import WaveInputs
from headstart.backbones.weights import weights_digest, with_tuned
from headstart.data import audio
from headstart.errors import ModelError
from headstart.stock import torchvision_ops
from headstart.types import Example, ModelSource

RECIPES = {
    "block": Recipe(learning_rate=1e-4, head_learning_rate=5e-4, batch_size=16, max_epochs=6),
    "third": Recipe(learning_rate=5e-5, head_learning_rate=3e-4, batch_size=16, max_epochs=8),
    "all": Recipe(learning_rate=2e-5, head_learning_rate=2e-4, batch_size=8, max_epochs=10),
    "lora": Recipe(learning_rate=2e-4, head_learning_rate=2e-4, batch_size=8, max_epochs=10),
    "scratch": Recipe(
        learning_rate=3e-4, head_learning_rate=1e-3, batch_size=16, max_epochs=80, weight_decay=0.05, averaged_share=0.0
    ),
}
BATCH_SECONDS = 60  # of spectrograms in one batch
# families whose stock classifier is a projection of each frame, a mean and a linear layer
PROJECTED = frozenset({"whisper", "wav2vec2", "hubert", "wavlm"})


class AudioBackbone:
    """An encoder and its feature extractor from a local transformers folder.

    stock: the whole classifier as transformers loads it, whose encoder this is; its head is replaced when saving.
    """

    views = ("plain",)
    unit = "recording"
    reads_targets = False
    base_cut: str | None = None
    without_bias: tuple[str, ...] = ()

    def __init__(self, source: ModelSource, stock: Any, extractor: Any, weights_key: str) -> None:
        self.source = source
        self.stock = stock.eval()
        self.model = getattr(stock, _encoder_name(stock))
        self.extractor = extractor
        self.sample_rate_hz = int(extractor.sampling_rate)
        adapter = adapter_for(self.model)
        wave = "input_values" in adapter.inputs
        self._waves = WaveInputs(extractor, self.model, adapter.padding_changes) if wave else None
        self._network = CutNetwork(adapter, RECIPES, source.id, "layer")
        self._weights_key = weights_key
        self.chunk_length: int | None = extractor.chunk_length if source.architecture == "whisper" else None
        self.features: tuple[str, ...] = ("native",) if source.architecture not in PROJECTED else ("mean",)
        self.allow_l2 = dict.fromkeys(self.features, False)
        self.batch_budget = self._waves.batch_budget if self._waves else BATCH_SECONDS // (self.chunk_length or 30)
        self.max_seconds = self.chunk_length or _max_seconds(extractor, self.model)
        described = json.dumps(extractor.to_dict(), sort_keys=True, default=str)
        self.key = hashlib.sha256(f"{weights_key}|{described}|{audio.MAX_SECONDS}".encode()).hexdigest()

    def encode(self, example: Example, view: str) -> Item:
        del view
        # as the stock loader reads: what a spectrogram cannot hold is cut from the spectrogram
        if self._waves:
            return self._waves.encode(example.input, audio.MAX_SECONDS)
        samples = audio.load(example.input, self.sample_rate_hz, audio.MAX_SECONDS)
        if self.chunk_length is not None:
            return {"spectrogram": whisper_encoder.spectrogram(self.extractor, samples)}  # (mels, frames)
        values = self.extractor(samples, sampling_rate=self.sample_rate_hz, return_tensors="np")
        # (frames, mels)
        return {"spectrogram": np.asarray(values[self.extractor.model_input_names[0]][0], dtype=np.float32)}

    def length(self, item: Item) -> int:
        return len(item["input_values"]) if self._waves else 1

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        if self._waves:
            return self._waves.collate(items)
        return {"spectrogram": np.stack([item["spectrogram"] for item in items])}

    def cut_off(self, examples: Sequence[Example]) -> str:
        if self.max_seconds >= audio.MAX_SECONDS:
            return ""  # reading has told of these
        count = sum(audio.seconds(e.input) > self.max_seconds for e in examples)
        return (
            f"{count} of {len(examples)} recordings are longer than the {self.max_seconds:g} s that the model hears"
            if count
            else ""
        )

    @property
    def depths(self) -> tuple[Depth, ...]:
        return self._network.depths

    def recipe(self, depth: Depth) -> Recipe:
        return self._network.recipe(depth)

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        return self._network.prefix(cuts)

    def suffix(self, cut: str | None) -> nn.Module:
        return self._network.suffix(cut)

    def live(self) -> nn.Module:
        return self._network.live()

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        """Frame states padded to the longest, then a mask of as many samples; encoded inputs for None."""
        if cut is None:
            return tuple(torch.from_numpy(value) for value in self.collate([dict(r) for r in records]).values())
        states, frames = self._network.batch_state(cut, records)
        return (*states, self._waves.mask_behind(frames)) if self._waves else states

    def hearing(self, seconds: int) -> AudioBackbone:
        """Whisper's encoder with the first of its positions: those of so many seconds."""
        stock = copy.deepcopy(self.stock)
        encoder = getattr(stock, _encoder_name(stock))
        extractor = type(self.extractor).from_dict({**self.extractor.to_dict(), "chunk_length": seconds})
        frames = extractor.nb_max_frames // whisper_encoder.FRAMES_A_STATE
        whisper_encoder.shorten(encoder, frames)
        stock.config.max_source_positions = frames
        return AudioBackbone(self.source, stock, extractor, self._weights_key)

    def randomised(self, seed: int, sample: Sequence[Item]) -> AudioBackbone:
        del sample
        torch.manual_seed(seed)
        stock = type(self.stock)(copy.deepcopy(self.stock.config))
        weights_key = weights_digest(getattr(stock, _encoder_name(stock)).state_dict())
        return AudioBackbone(self.source, stock, self.extractor, weights_key)

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        """The stock classifier; of a projection and a linear layer the first is the head, the second changes nothing.

        The mean of projected frames is the projection of their mean.
        """
        assert head is not None, "a classifier of recordings has a head"
        config = labelled(self.stock.config, classes)
        if self.source.architecture in PROJECTED:
            config.classifier_proj_size = len(classes)
            config.use_weighted_layer_sum = False
        stock = type(self.stock)(config)
        setattr(stock, _encoder_name(stock), with_tuned(self.model, tuned))
        weight, bias = torch.from_numpy(head.weight), torch.from_numpy(head.bias)
        with torch.no_grad():
            if self.source.architecture in PROJECTED:
                _set(stock.projector, weight, bias)
                _set(stock.classifier, torch.eye(len(classes)), torch.zeros(len(classes)))
            else:
                _set(stock.classifier.layernorm, torch.ones(weight.shape[1]), torch.zeros(weight.shape[1]))
                _set(stock.classifier.dense, weight, bias)
        stock.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        return "native"


def _set(layer: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


def _encoder_name(stock: Any) -> str:
    """Where a stock classifier keeps its encoder; Whisper's names its whole model as base, of which it has a part."""
    return "encoder" if hasattr(stock, "encoder") else str(stock.base_model_prefix)


def _max_seconds(extractor: Any, model: Any) -> float:
    """What the model hears of a recording: its spectrogram's length, or what reading allows."""
    if model.config.model_type == "audio-spectrogram-transformer":
        return float(extractor.max_length / 100)  # frames of 10 ms
    return audio.MAX_SECONDS


def load(source: ModelSource) -> AudioBackbone:
    """Load a folder with an audio encoder.

    Raises ModelError for other families, and where weights are missing or unsafe.
    """
    torchvision_ops.ensure()
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    if source.architecture not in {*PROJECTED, "audio-spectrogram-transformer"}:
        raise ModelError(
            f"{source.id} is a {source.architecture} model; audio classification takes Whisper, wav2vec 2.0, HuBERT, "
            "WavLM and AST, for example pip:whisper-tiny.en."
        )
    extractor = load_pretrained(AutoFeatureExtractor, source, "audio model")[0]
    stock, _ = load_pretrained(AutoModelForAudioClassification, source, "audio model", weights=True)
    encoder = getattr(stock, _encoder_name(stock))
    return AudioBackbone(source, stock, extractor, weights_digest(encoder.state_dict()))
