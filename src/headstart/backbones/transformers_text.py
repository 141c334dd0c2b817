"""BERT-family text encoders through transformers.

Pooled features: the mean over real tokens, and the pretrained pooler where the stock classifier reads it. The mean
ships as a sentence-transformers folder (layout portable), the pooler as a stock BertForSequenceClassification.
Recipe: AdamW, warm-up 10%; the published 2e-5 is for tuning every layer, a single layer takes about ten times that.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from headstart.backbones.adapters import Tokens
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.graph_cut import Cut, CutGraph
from headstart.backbones.places import depths_of, padded, tapped, uncut
from headstart.backbones.weights import weights_digest
from headstart.errors import ModelError
from headstart.stock import torchvision_ops
from headstart.types import Example, ModelSource

RECIPES = {
    "block": Recipe(learning_rate=2e-4, head_learning_rate=1e-3, batch_size=32, max_epochs=6),
    "third": Recipe(learning_rate=1e-4, head_learning_rate=5e-4, batch_size=32, max_epochs=8),
    "all": Recipe(learning_rate=3e-5, head_learning_rate=3e-4, batch_size=32, max_epochs=10),
    "lora": Recipe(learning_rate=3e-4, head_learning_rate=3e-4, batch_size=32, max_epochs=10),
}
MAX_TOKENS = 256
# families whose stock sequence classifier is an affine map of the pretrained pooler
POOLER_FAMILIES = frozenset({"bert"})


class TextBackbone:
    """An encoder and its tokenizer from a local transformers folder."""

    views = ("plain",)
    batch_budget = 4096
    unit = "text"

    def __init__(self, source: ModelSource, model: Any, tokenizer: Any, weights_key: str) -> None:
        self.source = source
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_tokens = _max_tokens(source.folder, model, tokenizer)
        has_pooler = source.architecture in POOLER_FAMILIES and getattr(model, "pooler", None) is not None
        self.features: tuple[str, ...] = ("mean", "native") if has_pooler else ("mean",)
        self.allow_l2 = {"mean": True, "native": False}
        tokenizer_digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
        described = f"{weights_key}|{tokenizer_digest}|{self.max_tokens}|{','.join(self.features)}"
        self.key = hashlib.sha256(described.encode()).hexdigest()

    def encode(self, example: Example, view: str) -> Item:
        del view
        encoded = self.tokenizer(example.input, truncation=True, max_length=self.max_tokens)
        return {"input_ids": np.array(encoded["input_ids"], dtype=np.int64)}  # (T,)

    def length(self, item: Item) -> int:
        return len(item["input_ids"])

    def truncated(self, examples: Sequence[Example]) -> int:
        """How many texts are longer than the model reads."""
        lengths = self.tokenizer([e.input for e in examples], add_special_tokens=True, verbose=False)["input_ids"]
        return sum(len(ids) > self.max_tokens for ids in lengths)

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        longest = -(-max(self.length(i) for i in items) // 8) * 8  # few distinct shapes: engines plan per shape
        longest = min(longest, self.max_tokens)
        ids = np.full((len(items), longest), self.tokenizer.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros((len(items), longest), dtype=np.int64)
        for row, item in enumerate(items):
            ids[row, : self.length(item)] = item["input_ids"]
            mask[row, : self.length(item)] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def _shapes(self) -> dict[str, Any]:
        batch = torch.export.Dim("batch", min=1, max=4096)
        tokens = torch.export.Dim("tokens", min=2, max=self.max_tokens)
        return {"input_ids": {0: batch, 1: tokens}, "attention_mask": {0: batch, 1: tokens}}

    def _whole(self) -> Tokens:
        return Tokens(self.model, "pooler" if "native" in self.features else "").eval()

    def _sample(self) -> dict[str, torch.Tensor]:
        mask = torch.ones(3, 16, dtype=torch.int64)
        mask[1, 9:] = 0
        return {"input_ids": torch.ones_like(mask), "attention_mask": mask}

    @cached_property
    def _graph(self) -> CutGraph:
        return CutGraph(self._whole(), self._sample(), self._shapes(), persistent=("attention_mask",))

    @cached_property
    def _cuts(self) -> dict[str, Cut]:
        return {cut.name: cut for cut in self._graph.cuts()}

    @cached_property
    def depths(self) -> tuple[Depth, ...]:
        found = depths_of(list(self._cuts.values()), 0.0, "layer")
        if not found:
            raise ModelError(f"{self.source.id} has no place between its layers where it can be cut.")
        return found

    def recipe(self, depth: Depth) -> Recipe:
        return RECIPES[depth.name]

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        if not cuts:
            return uncut(self._whole(), self._sample(), self._shapes())
        return tapped(self._graph, [self._cuts[name] for name in cuts], self._shapes())

    def suffix(self, cut: str | None) -> nn.Module:
        return self._graph.suffix(self._cuts[cut] if cut else None)

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        """States padded to the longest, then the mask; token numbers and mask for None."""
        if cut is None:
            items: list[Item] = [dict(record) for record in records]
            return tuple(torch.from_numpy(value) for value in self.collate(items).values())
        states = tuple(padded([record[name] for record in records]) for name in records[0])
        first = next(tensor for tensor in self._cuts[cut].state if tensor.ragged)
        name = f"{cut}:{first.name}"
        lengths = torch.tensor([record[name].shape[first.ragged[0]] for record in records])
        mask = torch.arange(int(lengths.max()))[None, :] < lengths[:, None]  # (B, T)
        return (*states, mask.to(torch.int64))

    def randomised(self, seed: int, sample: Sequence[Item]) -> TextBackbone:
        del sample
        from transformers import AutoModel

        torch.manual_seed(seed)
        model = AutoModel.from_config(self.model.config, attn_implementation="sdpa")
        return TextBackbone(self.source, model, self.tokenizer, weights_digest(model.state_dict()))

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        assert head is not None, "a text classifier has a head"
        weights = dict(self.model.state_dict())
        weights |= {name.removeprefix("model."): value for name, value in tuned.items()}
        if head.feature == "native":
            return self._save_native(folder, weights, head, classes)
        return self._save_portable(folder, weights, head, classes)

    def _save_native(
        self, folder: Path, weights: dict[str, torch.Tensor], head: AffineHead, classes: Sequence[str]
    ) -> str:
        from transformers import AutoModelForSequenceClassification

        config = _labelled(self.model.config, classes)
        model: Any = AutoModelForSequenceClassification.from_config(config)
        prefix = model.base_model_prefix
        full = {f"{prefix}.{name}": value for name, value in weights.items()}
        full |= {"classifier.weight": torch.from_numpy(head.weight), "classifier.bias": torch.from_numpy(head.bias)}
        model.load_state_dict(full, strict=True)
        model.save_pretrained(folder)
        self._save_tokenizer(folder)
        return "native"

    def _save_portable(
        self, folder: Path, weights: dict[str, torch.Tensor], head: AffineHead, classes: Sequence[str]
    ) -> str:
        """A sentence-transformers folder: encoder, mean pooling, maybe normalisation, a dense layer to logits."""
        from transformers import AutoModel

        config = _labelled(self.model.config, classes)
        model: Any = AutoModel.from_config(config)
        model.load_state_dict(weights, strict=True)
        model.save_pretrained(folder)
        self._save_tokenizer(folder)
        n_classes, width = head.weight.shape
        modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
        modules += [("2_Normalize", "Normalize")] if head.normalisation == "l2" else []
        modules += [(f"{len(modules)}_Dense", "Dense")]
        listed = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ]
        _write_json(folder / "modules.json", listed)
        _write_json(folder / "sentence_bert_config.json", {"max_seq_length": self.max_tokens, "do_lower_case": False})
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
        return "portable"

    def _save_tokenizer(self, folder: Path) -> None:
        self.tokenizer.model_max_length = self.max_tokens
        self.tokenizer.save_pretrained(folder)
        vocabulary = self.source.folder / "vocab.txt"
        if vocabulary.is_file():
            shutil.copyfile(vocabulary, folder / "vocab.txt")


def _labelled(config: Any, classes: Sequence[str]) -> Any:
    import copy

    config = copy.deepcopy(config)
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: i for i, name in enumerate(classes)}
    return config


def _max_tokens(folder: Path, model: Any, tokenizer: Any) -> int:
    """The shortest of: what pretraining used, what the positions allow, our own cap."""
    limits = [MAX_TOKENS, int(getattr(model.config, "max_position_embeddings", MAX_TOKENS))]
    if tokenizer.model_max_length and tokenizer.model_max_length > 0:
        limits.append(int(min(tokenizer.model_max_length, 1_000_000)))
    trained = folder / "sentence_bert_config.json"
    if trained.is_file():
        limits.append(int(json.loads(trained.read_text()).get("max_seq_length") or MAX_TOKENS))
    return min(limits)


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False))


def load(source: ModelSource) -> TextBackbone:
    """Load an encoder folder.

    Raises ModelError where weights are missing, unsafe, or are not an encoder's.
    """
    torchvision_ops.ensure()
    import transformers
    from transformers import AutoModel, AutoTokenizer

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, use_fast=True, local_files_only=True)
        model = AutoModel.from_pretrained(
            source.folder, local_files_only=True, attn_implementation="sdpa", dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"{source.folder} cannot be loaded as a text encoder: {str(error)[:300]}. "
            "Name another model, or get the folder again."
        ) from error
    if getattr(model.config, "is_encoder_decoder", False) or model.config.model_type in ("gpt2", "llama"):
        raise ModelError(
            f"{source.id} is a {model.config.model_type} model; text classification takes encoders of the BERT "
            "family, for example pip:all-minilm-l6-v2."
        )
    return TextBackbone(source, model, tokenizer, weights_digest(model.state_dict()))
