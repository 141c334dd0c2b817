"""Text encoders and decoders through transformers.

Pooled features: the mean over real tokens, and what the stock classifier reads where that is pretrained: the pooler of
BERT, the last real token of a decoder. The mean ships as a sentence-transformers folder (layout portable), the others
as a stock sequence classifier. Of an encoder-decoder (T5) the encoder is taken.
Longer texts than the network reads are cut off, or read in windows whose tokens all count alike in the mean; then a
file beside the checkpoint says in how many.
Recipe: AdamW, warm-up 10%; the published 2e-5 is for tuning every layer, a single layer takes about ten times that.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from headstart.backbones.adapters import Tokens, adapter_for, max_tokens
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.cut_network import CutNetwork, mask_of
from headstart.backbones.token_batches import padded_tokens, token_counts, told_cut_off
from headstart.backbones.transformers_load import labelled, load_pretrained, tokenizer_key
from headstart.backbones.weights import weights_digest, with_tuned
from headstart.backbones.windows import INNER, JoinedWindows, cut_into, joined_record, owners, window_lengths
from headstart.errors import ModelError
from headstart.stock import torchvision_ops
from headstart.stock.pairs import tokens
from headstart.stock.windows import FILE, windows
from headstart.types import Example, ModelSource

RECIPES = {
    "block": Recipe(learning_rate=2e-4, head_learning_rate=1e-3, batch_size=32, max_epochs=6, contrast=1.0),
    "third": Recipe(learning_rate=1e-4, head_learning_rate=5e-4, batch_size=32, max_epochs=8, contrast=1.0),
    "all": Recipe(learning_rate=3e-5, head_learning_rate=3e-4, batch_size=32, max_epochs=10),
    "lora": Recipe(learning_rate=3e-4, head_learning_rate=3e-4, batch_size=32, max_epochs=10),
    "scratch": Recipe(
        learning_rate=3e-4, head_learning_rate=1e-3, batch_size=32, max_epochs=80, weight_decay=0.05, averaged_share=0.0
    ),
}
MAX_TOKENS = 256
MAX_BATCH_WINDOWS = 64  # of a training step, where texts are read in several
# what a stock classifier reads -> the features, simplest to ship first
_FEATURES = {"": ("mean",), "pooler": ("mean", "native"), "last": ("native", "mean")}


class TextBackbone:
    """A network over tokens and its tokenizer from a local transformers folder.

    Padding is on the right, in the saved model too: decoders count positions from the left.
    """

    views = ("plain",)
    batch_budget = 4096
    unit = "text"
    reads_targets = False
    base_cut: str | None = None
    allow_l2 = {"mean": True, "native": False}  # noqa: RUF012

    def __init__(self, source: ModelSource, model: Any, tokenizer: Any, weights_key: str, windows: int = 1) -> None:
        """windows: of one text that are read at most; with more than one the only feature is the mean."""
        self.source = source
        self.model = model.eval()
        self.tokenizer = tokenizer
        adapter = adapter_for(model)
        assert isinstance(adapter.module, Tokens)
        decoder = adapter.module.native == "last"
        self.windows = windows
        self.features: tuple[str, ...] = _FEATURES[adapter.module.native] if windows == 1 else ("mean",)
        self.without_bias: tuple[str, ...] = ("native",) if decoder else ()
        self.pad_id = _padding(model, tokenizer, decoder)
        self.max_tokens = _max_tokens(source.folder, model, tokenizer)
        self._network = CutNetwork(adapter, RECIPES, source.id, "layer")
        described = f"{weights_key}|{tokenizer_key(tokenizer)}|{self.max_tokens}|{','.join(sorted(self.features))}"
        described += f"|{windows}" if windows > 1 else ""
        self.key = hashlib.sha256(described.encode()).hexdigest()
        self._weights_key = weights_key

    def encode(self, example: Example, view: str) -> Item:
        del view
        if self.windows > 1:
            (parts,) = windows(self.tokenizer, [example.input], self.windows, self.max_tokens)
            ids = [token for part in parts for token in part]
        else:
            (ids,) = tokens(self.tokenizer, [example.input], truncation=True, max_length=self.max_tokens)
        while len(ids) > 1 and ids[-1] == self.pad_id:  # to a stock decoder these are padding, wherever they come from
            ids.pop()
        return {"input_ids": np.array(ids or [self.pad_id], dtype=np.int64)}  # (T,)

    def length(self, item: Item) -> int:
        return len(item["input_ids"])

    def cut_off(self, examples: Sequence[Example]) -> str:
        marks = self.tokenizer.num_special_tokens_to_add()
        return told_cut_off(self.token_counts(examples), self.windows * (self.max_tokens - marks) + marks)

    def token_counts(self, examples: Sequence[Example]) -> list[int]:
        return token_counts(self.tokenizer, [e.input for e in examples])

    @property
    def can_read_on(self) -> bool:
        return bool(self.tokenizer.is_fast) and not self._network.adapter.padding_changes

    def reading_on(self, windows: int) -> TextBackbone:
        return TextBackbone(self.source, self.model, self.tokenizer, self._weights_key, windows)

    def window_lengths(self, item: Item) -> list[int]:
        return window_lengths(self.length(item), self.max_tokens)

    def joined(self, parts: Sequence[Record], lengths: Sequence[int]) -> Record:
        return joined_record(parts, lengths, self.features)

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        """Padded rows, one for each window."""
        rows = [part for item in items for part in cut_into(item, self.max_tokens)]
        return padded_tokens(rows, self.pad_id, self.max_tokens)

    @property
    def depths(self) -> tuple[Depth, ...]:
        """Where texts are read in windows, only those that hand on nothing but one state for each token."""
        found = self._network.depths
        return found if self.windows == 1 else tuple(d for d in found if self._network.hands_on_tokens(d.cut))

    def recipe(self, depth: Depth) -> Recipe:
        found = self._network.recipe(depth)
        return replace(found, batch_size=min(found.batch_size, max(1, MAX_BATCH_WINDOWS // self.windows)))

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        return self._network.prefix(cuts)

    def suffix(self, cut: str | None) -> nn.Module:
        return self._joining(self._network.suffix(cut))

    def live(self) -> nn.Module:
        return self._joining(self._network.live())

    def _joining(self, network: nn.Module) -> nn.Module:
        return network if self.windows == 1 else JoinedWindows(network)

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        """States padded to the longest, then the mask; token numbers and mask for None.

        Where texts are read in windows, each is a row, and then comes each row's text.
        """
        rows: list[Item] = [dict(record) for record in records]
        owner: tuple[torch.Tensor, ...] = ()
        if self.windows > 1:
            parts = [cut_into(record, self.max_tokens) for record in records]
            rows = [row for of_one in parts for row in of_one]
            owner = (owners([len(of_one) for of_one in parts]),)
        if cut is None:
            return (*(torch.from_numpy(value) for value in self.collate(rows).values()), *owner)
        states, lengths = self._network.batch_state(cut, rows)
        return (*states, mask_of(lengths), *owner)

    def randomised(self, seed: int, sample: Sequence[Item]) -> TextBackbone:
        del sample
        torch.manual_seed(seed)
        model = type(self.model)(copy.deepcopy(self.model.config))
        if getattr(self.model, "pooler", None) is None:
            model.pooler = None
        return TextBackbone(self.source, model, self.tokenizer, weights_digest(model.state_dict()), self.windows)

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        assert head is not None, "a text classifier has a head"
        base = with_tuned(self.model, {_own_name(name): value for name, value in tuned.items()})
        base.config = labelled(base.config, classes)
        self._save_tokenizer(folder)
        if head.feature == "native":
            return _save_native(folder, base, head)
        base.save_pretrained(folder)
        _save_modules(folder, head, self.max_tokens)
        if self.windows > 1:
            _write_json(folder / FILE, {"windows": self.windows})
        return "portable"

    def _save_tokenizer(self, folder: Path) -> None:
        self.tokenizer.model_max_length = self.max_tokens
        # networks are tuned without segment numbers: where pairs are judged, stock pipelines must give none
        self.tokenizer.model_input_names = ["input_ids", "attention_mask"]
        self.tokenizer.save_pretrained(folder)
        vocabulary = self.source.folder / "vocab.txt"
        if vocabulary.is_file():
            shutil.copyfile(vocabulary, folder / "vocab.txt")


def _own_name(name: str) -> str:
    """Of a weight in the network itself, which is joined where texts are read in windows."""
    return name.removeprefix(INNER).removeprefix("graph_module.")


def _save_native(folder: Path, base: Any, head: AffineHead) -> str:
    """A stock sequence classifier: the network and one linear layer on it."""
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_config(base.config, dtype=torch.float32)
    setattr(model, model.base_model_prefix, base)
    linear = model.score if hasattr(model, "score") else model.classifier
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head.weight))
        if linear.bias is not None:
            linear.bias.copy_(torch.from_numpy(head.bias))
        else:
            assert not head.bias.any(), "this head was fitted without a bias"
    model.save_pretrained(folder)
    return "native"


def _save_modules(folder: Path, head: AffineHead, length: int) -> None:
    """What makes it a sentence-transformers folder: mean pooling, maybe normalisation, a dense layer to logits."""
    n_classes, width = head.weight.shape
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [("2_Normalize", "Normalize")] if head.normalisation == "l2" else []
    modules += [(f"{len(modules)}_Dense", "Dense")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    _write_json(folder / "modules.json", listed)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    for path, kind in modules[1:]:
        (folder / path).mkdir()
        if kind == "Pooling":
            _write_json(
                folder / path / "config.json", {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True}
            )
    dense = folder / modules[-1][0]
    _write_json(
        dense / "config.json",
        {
            "in_features": width,
            "out_features": n_classes,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    tensors = {"linear.weight": torch.from_numpy(head.weight), "linear.bias": torch.from_numpy(head.bias)}
    save_file(tensors, dense / "model.safetensors")


def _padding(model: Any, tokenizer: Any, decoder: bool) -> int:
    """The token that pads, from now on in the tokenizer and in a decoder's configuration: stock decoders look for it.

    Where the tokenizer has none that the network knows, the end of text serves, else the unknown token, else token 0.
    """
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= model.config.vocab_size:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    padding = int(tokenizer.pad_token_id)
    if decoder:  # an encoder's may count positions from it
        model.config.pad_token_id = padding
    return padding


def _max_tokens(folder: Path, model: Any, tokenizer: Any) -> int:
    """The shortest of: what pretraining used, what the positions allow, our own cap."""
    limits = [MAX_TOKENS, max_tokens(model)]
    if tokenizer.model_max_length and tokenizer.model_max_length > 0:
        limits.append(int(min(tokenizer.model_max_length, 1_000_000)))
    trained = folder / "sentence_bert_config.json"
    if trained.is_file():
        limits.append(int(json.loads(trained.read_text()).get("max_seq_length") or MAX_TOKENS))
    return min(limits)


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False))


def load(source: ModelSource) -> TextBackbone:
    """Load a folder with a network over tokens.

    Raises ModelError where weights are missing, unsafe, or of a family that reads no text by itself.
    """
    torchvision_ops.ensure()
    from transformers import AutoModel, AutoModelForTextEncoding, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    encoder = MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(source.architecture, "").endswith("EncoderModel")
    kind = AutoModelForTextEncoding if encoder else AutoModel
    tokenizer = load_pretrained(AutoTokenizer, source, "text model", use_fast=True)[0]
    model, missing = load_pretrained(kind, source, "text model", weights=True)
    if getattr(model.config, "is_encoder_decoder", False) and not encoder:
        raise ModelError(
            f"{source.id} is a {source.architecture} model, an encoder-decoder; text classification takes encoders "
            "(BERT, RoBERTa, DeBERTa, ModernBERT, T5's), or decoders (GPT-2, Llama). Name one of these, for example "
            "pip:all-minilm-l6-v2."
        )
    if any(name.startswith("pooler.") for name in missing):  # drawn at random: not pretrained
        model.pooler = None
    return TextBackbone(source, model, tokenizer, weights_digest(model.state_dict()))
