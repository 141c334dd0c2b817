"""One small entry for each model family: how it is called, what is named in its outputs, how its inputs vary.

An entry wraps a model so that it takes keyword tensors and returns a dict of named outputs; `CutGraph` does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from headstart.backbones.graph_cut import CutGraph
from headstart.errors import ModelError

MAX_BATCH = 4096
MAX_TOKENS = 4096
_TOKENS = 11  # of the example that is exported: a length that no configuration has


@dataclass(frozen=True)
class Adapter:
    """A model made ready for cutting.

    module: keyword tensors -> dict of named outputs. inputs: an example batch. dynamic_shapes: in torch.export's form.
    persistent: inputs that behind a cut are available again. padding_changes: whether an example's outputs depend on
    how far its batch is padded, so that only examples of equal length may share one.
    """

    module: nn.Module
    inputs: dict[str, torch.Tensor]
    dynamic_shapes: dict[str, Any]
    persistent: tuple[str, ...] = ()
    padding_changes: bool = False

    def graph(self) -> CutGraph:
        """Export the model.

        Raises ModelError where the exporter cannot follow it.
        """
        try:
            return CutGraph(self.module, self.inputs, self.dynamic_shapes, self.persistent)
        except Exception as error:  # the exporter raises errors of many kinds, some of them bare exceptions
            model: Any = getattr(self.module, "model", self.module)
            kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
            reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
            raise ModelError(
                f"A {kind} model ({type(model).__name__}) cannot be exported to a graph, so it cannot be cut: "
                f"{reason}. Name a model of another family; known are timm, "
                f"{', '.join(sorted({*FEATURES, *SEQ2SEQ}))}."
            ) from error


class Images(nn.Module):
    """A timm model's pretrained pooling, named "native"."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        model: Any = self.model
        return {"native": model.forward_head(model.forward_features(image), pre_logits=True)}  # (B, 3, H, W) -> (B, D)


class Tokens(nn.Module):
    """Token states to pooled features: "mean" over real tokens, and what the stock classifier reads as "native".

    native: "pooler", "last" (the last real token's state) or "" where the stock classifier reads no pretrained pooling.
    """

    def __init__(self, model: nn.Module, native: str = "") -> None:
        super().__init__()
        self.model = model
        self.native = native

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        given: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.native == "last":
            given["use_cache"] = False  # converted, a decoder would join its keys to an empty cache
        output = self.model(**given)
        tokens = output.last_hidden_state  # (B, T, D)
        pooled = {"mean": masked_mean(tokens, attention_mask)}
        if self.native == "pooler":
            pooled["native"] = output.pooler_output
        elif self.native == "last":
            last = attention_mask.sum(1, keepdim=True).clamp(min=1) - 1  # (B, 1); padding is on the right
            pooled["native"] = tokens.gather(1, last.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])).squeeze(1)
        return pooled


class Waves(nn.Module):
    """Frame states of raw audio to their mean over real frames."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        model: Any = self.model
        frames = model(input_values, attention_mask=attention_mask).last_hidden_state  # (B, samples) -> (B, T, D)
        if attention_mask is None:
            return {"mean": frames.mean(1)}
        real = model._get_feature_vector_attention_mask(frames.shape[1], attention_mask)  # (B, samples) -> (B, T)
        return {"mean": masked_mean(frames, real)}


class Frames(nn.Module):
    """Raw audio to the state of each frame; those that padding made are to be left out by the mask of samples."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        model: Any = self.model
        return {"frames": model(input_values, attention_mask=attention_mask).last_hidden_state}  # (B, T, D)


class Spectrograms(nn.Module):
    """States of spectrograms of one size, to what the stock classifier reads of them.

    pooling: "mean" over all frames, or "native": AST's pooled class tokens, normed as its classifier norms them.
    """

    def __init__(self, model: nn.Module, name: str, pooling: str) -> None:
        super().__init__()
        self.model = model
        self.name = name
        self.pooling = pooling

    def forward(self, spectrogram: torch.Tensor) -> dict[str, torch.Tensor]:
        output = self.model(**{self.name: spectrogram})
        if self.pooling == "mean":
            return {"mean": output.last_hidden_state.mean(1)}  # (B, T, D) -> (B, D)
        pooled = output.pooler_output  # (B, D)
        model: Any = self.model
        return {"native": nn.functional.layer_norm(pooled, pooled.shape[-1:], eps=model.config.layer_norm_eps)}


class TextToText(nn.Module):
    """An encoder-decoder over tokens, to the logits of each next token. Decoder inputs are padded on the right."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, decoder_input_ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "decoder_input_ids": decoder_input_ids}
        return {"logits": self.model(**given, use_cache=False).logits}  # (B, T, V)


class NextTokens(nn.Module):
    """A decoder over tokens, to the logits of those next tokens that are asked for. Inputs are padded on the right."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, wanted: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        model: Any = self.model
        body = model.base_model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        states = body.last_hidden_state  # (B, T, D)
        chosen = states.gather(1, wanted.unsqueeze(-1).expand(-1, -1, states.shape[-1]))  # positions (B, K)
        return {"logits": model.get_output_embeddings()(chosen)}  # (B, K, V)


class SpectrogramToText(nn.Module):
    """Whisper, to the logits of each next token. Decoder inputs are padded on the right."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_features: torch.Tensor, decoder_input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        given = {"input_features": input_features, "decoder_input_ids": decoder_input_ids}
        return {"logits": self.model(**given, use_cache=False).logits}  # (B, T, V)


def masked_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, T, D) and (B, T) -> (B, D): the mean over what the mask keeps."""
    keep = mask.unsqueeze(-1).to(states.dtype)
    return (states * keep).sum(1) / keep.sum(1).clamp(min=1e-9)


def _images(model: Any, input_size: Sequence[int] | None) -> Adapter:
    size = tuple(input_size or model.pretrained_cfg["input_size"])
    return Adapter(Images(model), {"image": torch.zeros(2, *size)}, {"image": {0: _batch()}})


def maps_adapter(taps: nn.Module, side: int) -> Adapter:
    """A timm model's feature maps, as `stock.detector_network.Taps` gives them, of squares with that side."""
    return Adapter(taps, {"image": torch.zeros(2, 3, side, side)}, {"image": {0: _batch()}})


def _tokens(native: str) -> Callable[[Any], Adapter]:
    def adapter(model: Any) -> Adapter:
        has_native = native != "pooler" or getattr(model, "pooler", None) is not None
        inputs, shapes = _token_inputs(model)
        return Adapter(Tokens(model, native if has_native else ""), inputs, shapes, ("attention_mask",))

    return adapter


def frames_adapter(model: Any) -> Adapter:
    """wav2vec 2.0 and its kin, for what reads every frame."""
    return replace(_waves(model), module=Frames(model))


def _waves(model: Any) -> Adapter:
    """Models whose first norm is over time see padding as sound; behind it the mask keeps frames apart in all."""
    config = model.config
    hop = math.prod(config.conv_stride)
    samples = 25 * hop + sum(config.conv_kernel)
    # AUTO: with bounds, the exporter insists on proving inequalities between frame counts, which it cannot
    lengths = {0: _batch(), 1: torch.export.Dim.AUTO}
    mask = torch.ones(3, samples, dtype=torch.int64)
    mask[1, samples // 2 :] = 0
    inputs = {"input_values": torch.zeros(3, samples), "attention_mask": mask}
    sees_padding = config.feat_extract_norm == "group"
    return Adapter(Waves(model), inputs, dict.fromkeys(inputs, lengths), ("attention_mask",), sees_padding)


def _spectrograms(model: Any) -> Adapter:
    module = Spectrograms(model, "input_values", "native")
    size = (model.config.max_length, model.config.num_mel_bins)
    return Adapter(module, {"spectrogram": torch.zeros(2, *size)}, {"spectrogram": {0: _batch()}})


def _whisper_encoder(model: Any) -> Adapter:
    module = Spectrograms(model, "input_features", "mean")
    size = (model.config.num_mel_bins, 2 * model.config.max_source_positions)
    return Adapter(module, {"spectrogram": torch.zeros(2, *size)}, {"spectrogram": {0: _batch()}})


def _text_to_text(model: Any) -> Adapter:
    inputs, shapes = _token_inputs(model)
    inputs["decoder_input_ids"] = torch.ones(3, _TOKENS - 4, dtype=torch.int64)
    shapes["decoder_input_ids"] = {0: shapes["input_ids"][0], 1: _length("targets", model)}
    return Adapter(TextToText(model), inputs, shapes, ("attention_mask", "decoder_input_ids"))


def next_tokens_adapter(model: Any) -> Adapter:
    """A decoder with its output projection (GPT-2, Llama), for texts that are written on."""
    inputs, shapes = _token_inputs(model)
    inputs["wanted"] = torch.tensor([[1, 2, 3, 4]] * 3)
    shapes["wanted"] = {0: shapes["input_ids"][0], 1: _length("answers", model)}
    return Adapter(NextTokens(model), inputs, shapes, ("attention_mask", "wanted"))


def _spectrogram_to_text(model: Any) -> Adapter:
    size = (model.config.num_mel_bins, 2 * model.config.max_source_positions)
    batch = _batch()
    targets = torch.export.Dim("targets", min=2, max=model.config.max_target_positions)
    inputs = {
        "input_features": torch.zeros(3, *size),
        "decoder_input_ids": torch.ones(3, _TOKENS - 4, dtype=torch.int64),
    }
    shapes = {"input_features": {0: batch}, "decoder_input_ids": {0: batch, 1: targets}}
    return Adapter(SpectrogramToText(model), inputs, shapes, ("decoder_input_ids",))


def _batch() -> Any:
    return torch.export.Dim("batch", min=1, max=MAX_BATCH)


def max_tokens(model: Any) -> int:
    """How many tokens the model has positions for, MAX_TOKENS at most."""
    positions = getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS
    padded = 2 if model.config.model_type in _OFFSET_POSITIONS else 0
    return int(min(MAX_TOKENS, positions - padded))


def _length(name: str, model: Any) -> Any:
    return torch.export.Dim(name, min=2, max=max_tokens(model))


# positions that these families count from behind the padding token's
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert"})


def _token_inputs(model: Any) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    mask = torch.ones(3, _TOKENS, dtype=torch.int64)
    mask[1, _TOKENS // 2 :] = 0
    inputs = {"input_ids": torch.ones_like(mask), "attention_mask": mask}
    lengths = {0: _batch(), 1: _length("tokens", model)}
    return inputs, dict.fromkeys(inputs, lengths)


# model_type -> entry, for models that give features; a model_type that is not listed is taken as a token encoder
FEATURES: dict[str, Callable[[Any], Adapter]] = {
    "bert": _tokens("pooler"),
    "roberta": _tokens(""),
    "xlm-roberta": _tokens(""),
    "distilbert": _tokens(""),
    "deberta-v2": _tokens(""),
    "modernbert": _tokens(""),
    "gpt2": _tokens("last"),
    "llama": _tokens("last"),
    "t5": _tokens(""),
    "wav2vec2": _waves,
    "hubert": _waves,
    "wavlm": _waves,
    "audio-spectrogram-transformer": _spectrograms,
    "whisper": _whisper_encoder,
}
# model_type -> entry, for encoder-decoders with their output projection
SEQ2SEQ: dict[str, Callable[[Any], Adapter]] = {
    "t5": _text_to_text,
    "bart": _text_to_text,
    "marian": _text_to_text,
    "whisper": _spectrogram_to_text,
}


def adapter_for(model: Any, input_size: Sequence[int] | None = None) -> Adapter:
    """The entry of a model's family.

    model: a timm model, a transformers encoder or decoder-only base model, or a transformers encoder-decoder with its
    output projection. input_size: (3, H, W) of images, as in the model's own configuration where left out.
    """
    if hasattr(model, "forward_head"):
        return _images(model, input_size)
    config = model.config
    if config.is_encoder_decoder and model.get_output_embeddings() is not None:
        return SEQ2SEQ.get(config.model_type, _text_to_text)(model)
    return FEATURES.get(config.model_type, _tokens(""))(model)
