"""Encoder-decoders over tokens through transformers (T5, BART, Marian): a frozen encoder whose outputs are cached, and
a decoder that is tuned.

Recipe: AdamW with warm-up; 1e-4 to 3e-4 is the published range for T5, 3e-5 for BART, 2e-5 to 5e-5 for Marian. All in
float32: T5 overflows in float16.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones import transformers_causal
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.cut_network import mask_of
from headstart.backbones.languages import language_codes, mark_target, target_tag
from headstart.backbones.places import padded
from headstart.backbones.token_batches import longest_of, padded_tokens, token_counts, told_cut_off
from headstart.backbones.transformers_load import load_pretrained, tokenizer_key
from headstart.backbones.weights import weights_digest, with_tuned
from headstart.backbones.writing import Taught
from headstart.errors import ModelError
from headstart.stock import torchvision_ops
from headstart.types import Example, ModelSource

DECODER = "decoder"  # the cut between encoder and decoder
MAX_TOKENS = 512
LONGEST_ANSWER = 256  # tokens, where nobody says more
_BLOCK = Recipe(learning_rate=3e-4, head_learning_rate=3e-4, batch_size=16, max_epochs=10, min_epochs=1)
T5_RECIPES = {
    "block": _BLOCK,
    "all": replace(_BLOCK, learning_rate=2e-4, head_learning_rate=2e-4),
    "lora": replace(_BLOCK, learning_rate=5e-4, head_learning_rate=5e-4),
    "scratch": replace(
        _BLOCK, learning_rate=5e-4, head_learning_rate=5e-4, max_epochs=80, weight_decay=0.05, averaged_share=0.0
    ),
}
RECIPES = {
    **T5_RECIPES,
    "block": replace(_BLOCK, learning_rate=1e-4, head_learning_rate=1e-4),
    "all": replace(_BLOCK, learning_rate=3e-5, head_learning_rate=3e-5),
}
T5_TYPES = frozenset({"t5", "mt5", "umt5", "longt5"})


class _Encoder(nn.Module):
    """Tokens to the encoder's states."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state,)  # (B, T, D)


class _Tail(nn.Module):
    """The whole model on tokens, or its decoder on encoder states, to the logits of each next token.

    Behind the cut whatever the encoder uses too (shared embeddings) stays as it is: cached states depend on it.
    """

    def __init__(self, model: Any, with_encoder: bool) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.with_encoder = with_encoder
        if not with_encoder:
            for parameter in self.model.get_encoder().parameters():
                parameter.requires_grad_(False)

    def forward(self, states: torch.Tensor, mask: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
        given = source_of(states, mask, self.with_encoder)
        logits: torch.Tensor = self.model(**given, decoder_input_ids=token_ids, use_cache=False).logits
        return logits  # (B, T, V)


def source_of(states: torch.Tensor, mask: torch.Tensor, tokens: bool) -> dict[str, Any]:
    """How a model is given its source: token numbers (B, T), or encoder states (B, T, D)."""
    from transformers.modeling_outputs import BaseModelOutput

    if tokens:
        return {"input_ids": states, "attention_mask": mask}
    return {"encoder_outputs": BaseModelOutput(last_hidden_state=states), "attention_mask": mask}


class TextToTextBackbone(Taught):
    """An encoder-decoder and its tokenizer from a local transformers folder.

    prompt: put before each source, as in pretraining ("summarize: "); saved in the configuration.
    """

    features: tuple[str, ...] = ()
    allow_l2: dict[str, bool] = {}  # noqa: RUF012
    without_bias: tuple[str, ...] = ()
    views = ("plain",)
    batch_budget = 4096
    unit = "text"
    answers_untouched = True
    reads_targets = False
    base_cut = DECODER

    def __init__(self, source: ModelSource, model: Any, tokenizer: Any, weights_key: str, prompt: str) -> None:
        self.source = source
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.prompt = prompt
        self.max_tokens = _max_tokens(model, tokenizer)
        self.pad_id = int(tokenizer.pad_token_id)
        self.model.config.prefix = prompt or None
        self._settle_generation()
        described = f"{weights_key}|{tokenizer_key(tokenizer)}|{self.max_tokens}|{prompt}"
        self.key = hashlib.sha256(described.encode()).hexdigest()

    def _settle_generation(self) -> None:
        """Greedy to begin with; what ships is chosen at the end. Nothing is sampled."""
        settings = self.model.generation_config
        settings.do_sample, settings.early_stopping = False, False
        self.search = (1, 1.0)
        settings.max_new_tokens = None
        settings.max_length = LONGEST_ANSWER
        for name in ("min_length", "no_repeat_ngram_size"):  # of another task's answers
            setattr(settings, name, 0)
        settings.task_specific_params = None
        if settings.forced_bos_token_id is not None:
            self.given_tokens = 1

    def expect(self, targets: Sequence[str]) -> None:
        """Of the longest answer, here and in the saved model."""
        self.limit_answers(longest_of(self, targets))

    def limit_answers(self, tokens: int) -> None:
        """The longest answer, here and in the saved model."""
        self.model.generation_config.max_length = min(LONGEST_ANSWER, self.max_label_tokens, tokens)

    def encode(self, example: Example, view: str) -> Item:
        del view
        text = self.prompt + example.input
        ids = self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]
        return {"input_ids": np.array(ids or [self.pad_id], dtype=np.int64)}  # (T,)

    def length(self, item: Item) -> int:
        return len(item["input_ids"])

    def cut_off(self, examples: Sequence[Example]) -> str:
        return told_cut_off(token_counts(self.tokenizer, [self.prompt + e.input for e in examples]), self.max_tokens)

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        return padded_tokens(items, self.pad_id, self.max_tokens)

    @cached_property
    def depths(self) -> tuple[Depth, ...]:
        return (Depth("block", "decoder", DECODER, 0.6), Depth("all", "whole network", None, 1.0))

    def recipe(self, depth: Depth) -> Recipe:
        return (T5_RECIPES if self.model.config.model_type in T5_TYPES else RECIPES)[depth.name]

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        """The encoder; its output is the state before the decoder, the only cut."""
        assert tuple(cuts) in ((), (DECODER,)), cuts
        batch = torch.export.Dim("batch", min=1, max=256)
        tokens = torch.export.Dim("tokens", min=2, max=self.max_tokens)
        names = ("input_ids", "attention_mask")
        shapes = {name: {0: batch, 1: tokens} for name in names}
        encoder = _Encoder(self.model.get_encoder())
        return Prefix(encoder, names, ("state",), {DECODER: ("state",)}, {"state": (0,)}, shapes)

    def suffix(self, cut: str | None) -> nn.Module:
        return _Tail(self.model, with_encoder=cut is None)

    def live(self) -> nn.Module:
        return self.suffix(None)

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        """States padded to the longest, or token numbers, then the mask."""
        if cut is None:
            items: list[Item] = [dict(record) for record in records]
            return tuple(torch.from_numpy(value) for value in self.collate(items).values())
        states = padded([record["state"] for record in records])
        return states, mask_of([len(record["state"]) for record in records])

    def randomised(self, seed: int, sample: Sequence[Item]) -> TextToTextBackbone:
        del sample
        torch.manual_seed(seed)
        model = type(self.model)(copy.deepcopy(self.model.config))
        model.generation_config = copy.deepcopy(self.model.generation_config)
        return TextToTextBackbone(self.source, model, self.tokenizer, weights_digest(model.state_dict()), self.prompt)

    def token_ids(self, text: str) -> list[int]:
        """The decoder's start token, and the tokens of a target text with its end token."""
        config, settings = self.model.config, self.model.generation_config
        given = self.tokenizer(text_target=text.strip(), truncation=True, max_length=self.max_label_tokens)
        start = settings.decoder_start_token_id
        start = config.decoder_start_token_id if start is None else start
        return [int(start), *map(int, given["input_ids"])]

    @property
    def max_label_tokens(self) -> int:
        """The longest target the decoder's positions allow."""
        positions = getattr(self.model.config, "max_position_embeddings", None) or MAX_TOKENS
        return int(min(MAX_TOKENS, positions)) - 2

    def generate(self, inputs: Sequence[torch.Tensor], network: nn.Module | None = None) -> list[str]:
        """Texts as the saved model decodes them.

        inputs: encoder states (B, T, D) and mask, or what `network`, a suffix of this backbone, takes.
        """
        tail: Any = network
        model = self.model if tail is None else tail.model
        model.generation_config = self.model.generation_config
        given = source_of(inputs[0], inputs[1], tokens=tail is not None and tail.with_encoder)
        with torch.inference_mode():
            tokens = model.generate(**given)
        return [t.strip() for t in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]

    def save(self, folder: Any, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]) -> str:
        del head, classes
        model = with_tuned(self.model, tuned)
        model.tie_weights()
        model.save_pretrained(folder)
        self.tokenizer.model_max_length = self.max_tokens
        self.tokenizer.save_pretrained(folder)
        return "native"


def _max_tokens(model: Any, tokenizer: Any) -> int:
    limits = [MAX_TOKENS, int(getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS)]
    if tokenizer.model_max_length and tokenizer.model_max_length > 0:
        limits.append(int(min(tokenizer.model_max_length, 1_000_000)))
    return min(limits)


def prompt_for(config: Any, task: str, columns: Mapping[str, str]) -> str:
    """What a checkpoint was pretrained to find before such a source; "" where its configuration does not tell.

    Languages of a translation come from the columns' names ("en", "translation.de").
    """
    known = getattr(config, "task_specific_params", None) or {}
    languages = [columns.get(role, "").rpartition(".")[2].lower() for role in ("input", "target")]
    wanted = "summarization" if task == "summarization" else "translation_" + "_to_".join(languages)
    return str((known.get(wanted) or {}).get("prefix") or "")


def load(
    source: ModelSource, task: str = "", columns: Mapping[str, str] | None = None
) -> TextToTextBackbone | transformers_causal.CausalBackbone:
    """Load an encoder-decoder over tokens, or a decoder that writes on.

    task, columns: what it is for, from which its prompt follows. Raises ModelError for what is no such model.
    """
    torchvision_ops.ensure()
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    config = load_pretrained(AutoConfig, source, "text model")[0]
    if not getattr(config, "is_encoder_decoder", False):
        return transformers_causal.load(source, task, columns or {})
    tokenizer = load_pretrained(AutoTokenizer, source, "text model")[0]
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{source.id} has no tokenizer with a padding token. Add its tokenizer's files.")
    codes: dict[str, Any] = language_codes(tokenizer, columns or {}, source) if task == "translation" else {}
    if codes:  # given at loading, so that they are saved
        tokenizer = load_pretrained(AutoTokenizer, source, "text model", **codes)[0]
    model, _ = load_pretrained(AutoModelForSeq2SeqLM, source, "encoder-decoder", weights=True)
    if codes:
        mark_target(model, tokenizer)
    prompt = prompt_for(config, task, columns or {}) or str(getattr(config, "prefix", None) or "")
    if task == "translation":  # where the target's language is a word before the source
        prompt = target_tag(tokenizer, columns or {}, source, prompt) + prompt
    return TextToTextBackbone(source, model, tokenizer, weights_digest(model.state_dict()), prompt)
