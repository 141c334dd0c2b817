"""The contract that every backbone fulfils, and the records it uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.types import Example, ModelSource

Item = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Prefix:
    """A frozen network for one pass over the data.

    module: positional tensors in the order of input_names -> tuple of tensors in the order of output_names.
    state: the output that the tuned rung trains from. ragged: outputs whose first axis is the item's length.
    sample: dynamic shapes in torch.export's form, by input name.
    """

    module: nn.Module
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    state: str
    ragged: frozenset[str]
    dynamic_shapes: dict[str, Any]
    cut: str


@dataclass(frozen=True)
class Recipe:
    """How this family is fine-tuned; rates after the published recipes named in the backbone's file."""

    learning_rate: float
    head_learning_rate: float
    batch_size: int
    max_epochs: int
    min_epochs: int = 3
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    label_smoothing: float = 0.0


class AffineHead(Protocol):
    """What a backbone needs to know of a head to save it: logits = feature @ weight.T + bias."""

    @property
    def weight(self) -> NDArray[np.float32]:
        """(C, D), temperature folded in."""

    @property
    def bias(self) -> NDArray[np.float32]:
        """(C,)."""

    @property
    def feature(self) -> str:
        """Name of the pooled feature it reads."""

    @property
    def normalisation(self) -> str:
        """What is done to rows first: with "l2" they are divided by their length, else nothing."""


class Backbone(Protocol):
    """A pretrained network of one family.

    key: digest of weights, architecture and preprocessing; part of every cache key.
    features: names of its pooled outputs, each (D,) per example; empty where the head reads the state itself.
    views: names of the label-preserving variants of an input that may be cached; the first is the plain one.
    batch_budget: padded units (images, tokens, recordings) in one batch of the prefix.
    unit: what one example is called in messages.
    stock_script: file in headstart/stock that runs the saved artifact without headstart.
    """

    source: ModelSource
    key: str
    features: tuple[str, ...]
    allow_l2: dict[str, bool]
    views: tuple[str, ...]
    recipe: Recipe
    batch_budget: int
    unit: str
    stock_script: str

    def encode(self, example: Example, view: str) -> Item:
        """Preprocess one input into unbatched arrays. Raises UnusableInput."""

    def length(self, item: Item) -> int:
        """Number of tokens (1 where inputs have one size): batches are formed from similar lengths."""

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        """Pad and stack items into a batch."""

    def prefix(self) -> Prefix:
        """The network up to the cut, returning the state and the pooled features."""

    def suffix(self) -> nn.Module:
        """A trainable copy of the network behind the cut."""

    def batch_state(self, states: Sequence[NDArray[np.float32]]) -> tuple[torch.Tensor, ...]:
        """Pad and stack cached states into the suffix's inputs."""

    def randomised(self, seed: int, sample: Sequence[Item]) -> Backbone:
        """The same architecture with random weights; batch norm calibrated on the sample."""

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        """Write a standard checkpoint folder; return its layout, "native" or "portable"."""
