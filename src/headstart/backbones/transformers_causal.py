"""Decoders that write on (GPT-2, Llama) through transformers: a prompt around the source, the target behind it.

The first layers see prompt and target once and their states are cached; the last third, or low-rank changes to it, is
tuned on them, with logits and loss at the target's tokens alone. Answers are decoded from the prompt by the whole
network.

Recipe: AdamW; 5e-5 is the published rate for tuning all of GPT, a last third bears about twice that, low-rank changes
ten times.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.adapters import MAX_TOKENS, NextTokens, next_tokens_adapter
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.cut_network import CutNetwork, mask_of
from headstart.backbones.token_batches import (
    IGNORED_LABEL,
    longest_of,
    padded_tokens,
    taught_loss,
    token_counts,
    told_cut_off,
)
from headstart.backbones.transformers_load import load_pretrained, tokenizer_key
from headstart.backbones.weights import weights_digest, with_tuned
from headstart.backbones.writing import Searching
from headstart.errors import ModelError
from headstart.stock.prompts import left_padded, prompts
from headstart.types import Example, ModelSource

LONGEST_PROMPT = 384  # tokens
LONGEST_ANSWER = 128
_THIRD = Recipe(learning_rate=1e-4, head_learning_rate=1e-4, batch_size=8, max_epochs=4, min_epochs=1)
RECIPES = {
    "block": _THIRD,
    "third": _THIRD,
    "all": _THIRD.at_rate(0.5),
    "lora": _THIRD.at_rate(5.0),
    "scratch": Recipe(
        learning_rate=5e-4, head_learning_rate=5e-4, batch_size=8, max_epochs=40, weight_decay=0.05, averaged_share=0.0
    ),
}
_SUMMARY = "Summarize the following text in one short sentence:\n\n"
_PLAIN_SUMMARY = "\n\nTL;DR:"  # as GPT-2's authors asked for summaries


class CausalBackbone(Searching):
    """A decoder with its output projection, and its tokenizer, from a local transformers folder.

    The prompt's words are `prefix` and `suffix` of the configuration, and are saved in it.
    """

    features: tuple[str, ...] = ()
    allow_l2: dict[str, bool] = {}  # noqa: RUF012
    without_bias: tuple[str, ...] = ()
    views = ("plain",)
    batch_budget = 2048
    unit = "text"
    answers_untouched = True
    reads_targets = True
    base_cut: str | None = None

    def __init__(self, source: ModelSource, model: Any, tokenizer: Any, weights_key: str) -> None:
        self.source = source
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.pad_id, self.end_id = _settle_tokens(model, tokenizer)
        positions = min(MAX_TOKENS, int(getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS))
        self.longest_answer = min(LONGEST_ANSWER, positions // 3)
        self.longest_prompt = min(LONGEST_PROMPT, positions - self.longest_answer)
        self._settle_generation()
        self._network = CutNetwork(next_tokens_adapter(model), RECIPES, source.id, "layer")
        words = f"{model.config.prefix}|{model.config.suffix}|{tokenizer.chat_template}"
        limits = f"{self.longest_prompt}|{self.longest_answer}"
        described = f"{weights_key}|{tokenizer_key(tokenizer)}|{words}|{limits}"
        self.key = hashlib.sha256(described.encode()).hexdigest()

    def _settle_generation(self) -> None:
        """Greedy to begin with; what ships is chosen at the end. Nothing is sampled."""
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig(
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.end_id,
            pad_token_id=self.pad_id,
            num_beams=1,
            do_sample=False,
            max_new_tokens=self.longest_answer,
        )

    def expect(self, targets: Sequence[str]) -> None:
        """Of the longest answer, here and in the saved model."""
        self.limit_answers(longest_of(self, targets))

    def limit_answers(self, tokens: int) -> None:
        """The longest answer, here and in the saved model."""
        self.model.generation_config.max_new_tokens = min(self.longest_answer, tokens)

    def _prompt(self, texts: Sequence[str]) -> list[list[int]]:
        return prompts(self.tokenizer, self.model.config, list(texts), self.longest_prompt)

    def encode(self, example: Example, view: str) -> Item:
        """The prompt's tokens and, where there is a target, its tokens behind them."""
        del view
        ids = self._prompt([example.input])[0]
        if example.target is not None:
            ids = ids + self.token_ids(example.target)
        return {"input_ids": np.array(ids, dtype=np.int64)}  # (T,)

    def length(self, item: Item) -> int:
        return len(item["input_ids"])

    def cut_off(self, examples: Sequence[Example]) -> str:
        room = self.longest_prompt - len(self._prompt([""])[0])
        return told_cut_off(token_counts(self.tokenizer, [e.input for e in examples]), room)

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        return padded_tokens(items, self.pad_id, self.longest_prompt + self.longest_answer)

    @property
    def depths(self) -> tuple[Depth, ...]:
        """From the last third (the last layer of few), and low-rank changes from there; then everything."""
        found = {depth.name: depth for depth in self._network.depths}
        first = found.get("third") or found["block"]
        lora = Depth("lora", f"{first.part}, by low-rank changes", first.cut, first.compute_share)
        return (first, lora, found["all"])

    def recipe(self, depth: Depth) -> Recipe:
        return self._network.recipe(depth)

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        """The states of these cuts; without any, what is timed in their place: nothing of it is kept."""
        first = self.depths[0].cut
        assert first is not None
        return self._network.prefix(cuts or (first,), outputs=False)

    def suffix(self, cut: str | None) -> nn.Module:
        return _Logits(self._network.suffix(cut))

    def live(self) -> nn.Module:
        return _Logits(self._network.live())

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        """States padded to the longest, then the mask; token numbers and mask for None."""
        if cut is None:
            items: list[Item] = [dict(record) for record in records]
            return tuple(torch.from_numpy(value) for value in self.collate(items).values())
        states, lengths = self._network.batch_state(cut, records)
        return (*states, mask_of(lengths))

    def randomised(self, seed: int, sample: Sequence[Item]) -> CausalBackbone:
        del sample
        torch.manual_seed(seed)
        model = type(self.model)(copy.deepcopy(self.model.config))
        return CausalBackbone(self.source, model, self.tokenizer, weights_digest(model.state_dict()))

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a target text, with the end token."""
        text = text.strip() if self.tokenizer.chat_template else f" {text.strip()}"
        limit = self.longest_answer - 1
        given = self.tokenizer(text, add_special_tokens=False, truncation=True, max_length=limit)
        return [*map(int, given["input_ids"]), self.end_id]

    def teach(self, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, K) positions whose next tokens are the target's, and those tokens; what is padded is ignored."""
        targets = [self.token_ids(e.target or "") for e in examples]
        starts = [len(ids) - 1 for ids in self._prompt([e.input for e in examples])]
        longest = max(2, *map(len, targets))  # one would be a shape of its own to the exported graph
        wanted = torch.zeros(len(examples), longest, dtype=torch.int64)
        labels = torch.full((len(examples), longest), IGNORED_LABEL)
        for row, (start, ids) in enumerate(zip(starts, targets)):
            wanted[row, : len(ids)] = torch.arange(start, start + len(ids))
            labels[row, : len(ids)] = torch.tensor(ids)
        return wanted, labels

    def prompts(self, examples: Sequence[Example]) -> tuple[torch.Tensor, ...]:
        """Prompts padded on the left, (B, T), and their mask."""
        ids, mask = left_padded(self._prompt([e.input for e in examples]), self.pad_id)
        return torch.tensor(ids), torch.tensor(mask)

    def loss(self, network: nn.Module, inputs: Sequence[torch.Tensor], examples: Sequence[Example],
             label_smoothing: float) -> torch.Tensor:  # fmt: skip
        return taught_loss(network, inputs, *self.teach(examples), label_smoothing)

    def generate(self, inputs: Sequence[torch.Tensor], network: nn.Module | None = None) -> list[str]:
        """Texts as the saved model decodes them.

        inputs: of `prompts`. network: a suffix of this backbone, or one that was trained from random weights.
        """
        model = self.model if network is None else self._whole(network)
        model.generation_config = self.model.generation_config
        with torch.inference_mode():
            made = model.generate(input_ids=inputs[0], attention_mask=inputs[1])
        told = self.tokenizer.batch_decode(made[:, inputs[0].shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in told]

    def _whole(self, network: Any) -> Any:
        """The model with the network's weights in it: not copies, the same tensors."""
        shared = {id(parameter): parameter for parameter in self.model.parameters()}
        model = copy.deepcopy(self.model, shared)
        for name, parameter in network.weights():
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, parameter)
        if self.model.config.tie_word_embeddings:
            model.get_output_embeddings().weight = model.get_input_embeddings().weight
        return model.eval()

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        del head, classes
        named = {f"model.{_Logits.own_name(name)}": value for name, value in tuned.items()}
        model = with_tuned(self.model, named)
        model.save_pretrained(folder)
        self.tokenizer.model_max_length = self.longest_prompt
        self.tokenizer.padding_side = "left"
        self.tokenizer.save_pretrained(folder)
        return "native"


class _Logits(nn.Module):
    """A network behind a cut, or all of it, to the logits that it gives by name."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(*inputs)["logits"]  # states, mask, positions (B, K) -> (B, K, V)
        return logits

    @staticmethod
    def own_name(name: str) -> str:
        """A parameter's name in the model itself."""
        for part in ("network.", "graph_module.", "network.", "model."):  # ours, the cut's, and the adapter's
            name = name.removeprefix(part)
        return name

    def weights(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters under the names they have in the model."""
        return [(self.own_name(name), value) for name, value in self.named_parameters(remove_duplicate=False)]


def _settle_tokens(model: Any, tokenizer: Any) -> tuple[int, int]:
    """The tokens that pad and that end an answer, set where tokenizer and configuration lack them."""
    end = tokenizer.eos_token_id
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= model.config.vocab_size:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = int(tokenizer.pad_token_id)
    return int(tokenizer.pad_token_id), int(end)


def prompt_words(task: str, columns: Mapping[str, str], chat: bool) -> tuple[str, str]:
    """What stands before and behind a source.

    columns: whose names tell the languages of a translation ("en", "translation.de"). chat: whether the model follows
    instructions; others are shown the beginning of an answer.
    """
    if task == "summarization":
        return (_SUMMARY, "") if chat else ("", _PLAIN_SUMMARY)
    source, target = (_language(columns.get(role, "")) for role in ("input", "target"))
    if chat:
        return f"Translate the following text{source and f' from {source}'}{target and f' to {target}'}:\n\n", ""
    return (f"{source}: " if source and target else "", f"\n{target}:" if source and target else "\n=")


def _language(column: str) -> str:
    """A language's name from its code as a column's name; "" where it is none."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    code = column.rpartition(".")[2].lower().partition("_")[0].partition("-")[0]
    return str(LANGUAGES.get(code, "")).capitalize()


def load(source: ModelSource, task: str, columns: Mapping[str, str]) -> CausalBackbone:
    """Load a decoder that writes on.

    task, columns: what it is for, from which its prompt follows. Raises ModelError for what is no such model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = source.architecture
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(_not_a_writer(source))
    tokenizer = load_pretrained(AutoTokenizer, source, "text model", use_fast=True)[0]
    if tokenizer.eos_token_id is None or not hasattr(tokenizer, "backend_tokenizer"):
        raise ModelError(f"{source.id} has no fast tokenizer with an end-of-text token. Add its tokenizer.json.")
    model, _ = load_pretrained(AutoModelForCausalLM, source, "decoder", weights=True)
    _check(source, model)
    if getattr(model.config, "prefix", None) is None and getattr(model.config, "suffix", None) is None:
        chat = bool(tokenizer.chat_template)
        model.config.prefix, model.config.suffix = prompt_words(task, columns, chat)
    return CausalBackbone(source, model, tokenizer, weights_digest(model.state_dict()))


def _not_a_writer(source: ModelSource) -> str:
    return (
        f"{source.id} is a {source.architecture} model, which writes no texts; encoder-decoders (T5, BART, Marian) "
        "and decoders (GPT-2, Llama) do. Name one of these, for example pip:smollm2-135m-instruct."
    )


def _check(source: ModelSource, model: Any) -> None:
    """Refuse what does not write from left to right, and what does more than project its last state."""
    ids = torch.arange(6)[None] % model.config.vocab_size
    other = ids.clone()
    other[0, 3:] = 1
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        whole, changed = (model.eval()(input_ids=i, attention_mask=mask, use_cache=False).logits for i in (ids, other))
        ours = NextTokens(model)(ids, mask, torch.arange(6)[None])["logits"]
    if not torch.allclose(whole[0, :3], changed[0, :3], rtol=1e-3, atol=1e-3):
        raise ModelError(_not_a_writer(source))
    if not torch.allclose(whole, ours, rtol=1e-3, atol=1e-3):
        raise ModelError(
            f"{source.id} ({source.architecture}) changes its logits after the output projection, which cannot be "
            "tuned here. Name another model, for example pip:smollm2-135m-instruct."
        )
