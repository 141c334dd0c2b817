"""Whisper through transformers: a frozen encoder whose outputs are cached, and a decoder that is tuned.

Recipe: AdamW 1e-5 with warm-up is the published rate for the whole model; for a few epochs on a few hundred clips the
decoder alone took five times that, the whole three times (docs/log.md).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones import transformers_ctc, whisper_encoder
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.masking import hide_spectrum
from headstart.backbones.weights import weights_digest
from headstart.backbones.writing import Taught
from headstart.data import audio
from headstart.errors import ModelError
from headstart.stock import torchvision_ops
from headstart.types import Example, ModelSource

DECODER = "decoder"  # the cut between encoder and decoder
MARGIN_S = 4.0  # of silence that the decoder is trained with: with 2 s an untuned one repeats itself (docs/log.md)
WHOLE_MARGIN_S = 1.0  # where the encoder learns as well: no worse than with 4 s, and 0.6 of the time
RECIPES = {
    "block": Recipe(learning_rate=5e-5, head_learning_rate=5e-5, batch_size=16, max_epochs=4, min_epochs=1),
    # after one epoch better than three at the published 1e-5, and than the decoder's four (docs/log.md)
    "all": Recipe(
        learning_rate=3e-5, head_learning_rate=3e-5, batch_size=8, max_epochs=6, min_epochs=1, comes_first=True
    ),
    "lora": Recipe(learning_rate=1e-4, head_learning_rate=1e-4, batch_size=8, max_epochs=6, min_epochs=1),
    "scratch": Recipe(
        learning_rate=5e-4, head_learning_rate=5e-4, batch_size=16, max_epochs=80, weight_decay=0.05, averaged_share=0.0
    ),
}


class _Encoder(nn.Module):
    """Whisper's encoder, from log-mel frames to states."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_features: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.encoder(input_features).last_hidden_state,)  # (B, 80, 3000) -> (B, 1500, D)


class _Tail(nn.Module):
    """Whisper's decoder and output projection on encoder states; with its encoder, on log-mel frames."""

    def __init__(self, model: Any, with_encoder: bool) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.model.encoder) if with_encoder else None
        self.decoder = copy.deepcopy(model.model.decoder)

    def states(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, 1500, D), from the same or from log-mel frames (B, 80, 3000); fewer where these are fewer."""
        return inputs if self.encoder is None else whisper_encoder.states(self.encoder, inputs)

    def forward(self, inputs: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
        output = self.decoder(input_ids=token_ids, encoder_hidden_states=self.states(inputs), use_cache=False)
        # the projection is tied to the token embedding
        return nn.functional.linear(output.last_hidden_state, self.decoder.embed_tokens.weight)  # (B, T, V)


class WhisperBackbone(Taught):
    """A Whisper model and its processor from a local transformers folder."""

    features: tuple[str, ...] = ()
    allow_l2: dict[str, bool] = {}  # noqa: RUF012
    without_bias: tuple[str, ...] = ()
    views = ("plain",)
    batch_budget = 2
    unit = "recording"
    answers_untouched = True
    reads_targets = False
    base_cut = DECODER
    given_tokens = 1  # the one that says that no timestamps are wanted

    def __init__(self, source: ModelSource, model: Any, processor: Any, weights_key: str) -> None:
        self.source = source
        self.model = model.eval()
        # where a checkpoint leaves it open, the stock pipeline takes five beams; what ships is chosen at the end
        self.search = (1, 1.0)
        # half of the positions, as the original Whisper does: an untuned decoder may repeat itself until it is stopped
        self.model.generation_config.max_length = int(model.config.max_target_positions) // 2
        self.processor = processor
        self.extractor = processor.feature_extractor
        self.sample_rate_hz = int(self.extractor.sampling_rate)
        self._seconds: dict[str, float] = {}
        described = json.dumps(self.extractor.to_dict(), sort_keys=True, default=str)
        self.key = hashlib.sha256(f"{weights_key}|{described}".encode()).hexdigest()

    def encode(self, example: Example, view: str) -> Item:
        del view
        samples = audio.load(example.input, self.sample_rate_hz)
        return {"input_features": whisper_encoder.spectrogram(self.extractor, samples)}  # (80, 3000)

    def length(self, item: Item) -> int:
        del item
        return 1

    def cut_off(self, examples: Sequence[Example]) -> str:
        del examples
        return ""

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        return {"input_features": np.stack([item["input_features"] for item in items])}

    @cached_property
    def depths(self) -> tuple[Depth, ...]:
        return (Depth("block", "decoder", DECODER, 0.1), Depth("all", "whole network", None, 1.0))

    def recipe(self, depth: Depth) -> Recipe:
        return RECIPES[depth.name]

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        """The encoder; its output is the state before the decoder, the only cut."""
        assert tuple(cuts) in ((), (DECODER,)), cuts
        shapes = {"input_features": {0: torch.export.Dim("batch", min=1, max=256)}}
        encoder = _Encoder(self.model.model.encoder)
        return Prefix(encoder, ("input_features",), ("state",), {DECODER: ("state",)}, {"state": ()}, shapes)

    def suffix(self, cut: str | None) -> nn.Module:
        return _Tail(self.model, with_encoder=cut is None)

    def live(self) -> nn.Module:
        return self.suffix(None)

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        name = "state" if cut else "input_features"
        return (torch.from_numpy(np.stack([record[name] for record in records])).float(),)

    def randomised(self, seed: int, sample: Sequence[Item]) -> WhisperBackbone:
        del sample
        from transformers import WhisperForConditionalGeneration

        torch.manual_seed(seed)
        model = WhisperForConditionalGeneration(self.model.config)
        return WhisperBackbone(self.source, model, self.processor, weights_digest(model.state_dict()))

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a target text, with the prompt the model decodes after and the end token."""
        # Whisper was pretrained on transcripts that begin with a space; without it tuning starts by unlearning that
        spaced = f" {text.strip()}"
        return list(self.processor.tokenizer(spaced, max_length=self.max_label_tokens, truncation=True).input_ids)

    @property
    def max_label_tokens(self) -> int:
        """The longest target the decoder's positions allow."""
        return int(self.model.config.max_target_positions) - 1

    def loss(self, network: nn.Module, inputs: Sequence[torch.Tensor], examples: Sequence[Example],
             label_smoothing: float) -> torch.Tensor:  # fmt: skip
        """Mean cross-entropy of the transcripts.

        The network is given what was spoken and WHOLE_MARGIN_S of the silence behind it, the decoder alone the states
        of that and MARGIN_S: the rest costs most of a step and says nothing. Parts of what the encoder hears are hidden
        while it is trained.
        """
        heard, longest = inputs[0], max(map(self._spoken, examples))
        if heard.shape[1] != self.extractor.feature_size:
            heard = heard[:, : self._states(longest + MARGIN_S)]
        else:  # log-mel frames, not states
            heard = heard[..., : whisper_encoder.FRAMES_A_STATE * self._states(longest + WHOLE_MARGIN_S)]
            if network.training:
                heard = hide_spectrum(heard, self.sample_rate_hz / self.extractor.hop_length)
        return super().loss(network, (heard, *inputs[1:]), examples, label_smoothing)

    @property
    def whole_length(self) -> int:
        """States of all that the encoder hears."""
        return int(self.model.config.max_source_positions)

    def step_length(self, example: Example) -> int:
        """States of what is spoken and of MARGIN_S of silence."""
        return self._states(self._spoken(example) + MARGIN_S)

    def _states(self, seconds: float) -> int:
        per_second = float(self.model.config.max_source_positions / self.extractor.chunk_length)
        return math.ceil(seconds * per_second)

    def _spoken(self, example: Example) -> float:
        if example.digest not in self._seconds:  # asked for at every step
            self._seconds[example.digest] = audio.seconds(example.input)
        return self._seconds[example.digest]

    def expect(self, targets: Sequence[str]) -> None:
        """Half of the positions stays the limit: what is spoken has no other."""
        del targets

    def generate(self, inputs: Sequence[torch.Tensor], network: nn.Module | None = None) -> list[str]:
        """Transcripts, as the stock pipeline decodes with that many beams.

        inputs: encoder states (B, 1500, D) alone, or what `network`, a suffix of this backbone, takes.
        """
        from transformers.modeling_outputs import BaseModelOutput

        original, states = self.model.model.decoder, inputs[0]
        try:
            with torch.inference_mode():
                if network is not None:
                    tuned: Any = network
                    # a few at once: what more of them leave behind does not stay in a processor's caches
                    states = torch.cat([tuned.states(part) for part in inputs[0].split(self.batch_budget)])
                    self.model.model.decoder = tuned.decoder
                    self.model.proj_out.weight = tuned.decoder.embed_tokens.weight
                tokens = self.model.generate(encoder_outputs=BaseModelOutput(last_hidden_state=states))
        finally:
            self.model.model.decoder = original
            self.model.proj_out.weight = original.embed_tokens.weight
        return [t.strip() for t in self.processor.batch_decode(tokens, skip_special_tokens=True)]

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        del head, classes
        model = copy.deepcopy(self.model)
        if tuned:
            missing, unknown = model.model.load_state_dict(tuned, strict=False)
            assert not unknown, unknown
            assert all(name.startswith("encoder.") for name in missing), missing
            model.tie_weights()
        model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        return "native"


def load(source: ModelSource) -> WhisperBackbone | transformers_ctc.CtcBackbone:
    """Load a Whisper folder, or one of wav2vec 2.0 and its kin.

    Raises ModelError where the folder is no such checkpoint.
    """
    torchvision_ops.ensure()
    import transformers
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    if source.architecture in transformers_ctc.FAMILIES:
        return transformers_ctc.load(source)
    if source.architecture != "whisper":
        raise ModelError(
            f"{source.id} is a {source.architecture} model; speech recognition takes Whisper, wav2vec 2.0, HuBERT and "
            "WavLM, for example pip:whisper-tiny.en."
        )
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        processor = AutoProcessor.from_pretrained(source.folder, local_files_only=True)
        model = WhisperForConditionalGeneration.from_pretrained(
            source.folder, local_files_only=True, attn_implementation="sdpa", dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"{source.folder} cannot be loaded as a Whisper model: {str(error)[:300]}. "
            "Name another model, or get the folder again."
        ) from error
    return WhisperBackbone(source, model, processor, weights_digest(model.state_dict()))
