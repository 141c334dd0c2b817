"""The contract that every backbone fulfils, and the records it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.types import Example, ModelSource

Item = dict[str, NDArray[np.generic]]
Record = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Depth:
    """How deep a rung tunes: everything behind one place in the network.

    name: "block" (the last block, or the decoder), "third", "all". part: what is tuned, in words.
    cut: the cut whose states are cached; None where the whole network is tuned, from the inputs themselves.
    compute_share: share of the network's multiply-adds that lies behind the cut, and is paid at every step.
    """

    name: str
    part: str
    cut: str | None
    compute_share: float


SCRATCH = Depth("scratch", "whole network from random weights", None, 1.0)
"""No rung of the ladder: what transfer is measured against."""


@dataclass(frozen=True)
class Prefix:
    """A frozen network for one pass over the data.

    module: positional tensors in the order of input_names -> tuple of tensors in the order of output_names.
    states: for each cut the names of the outputs that are its state; all other outputs are pooled features.
    ragged: for each output, the axes of one example's array (batch axis left out) that are as long as the example.
    dynamic_shapes: in torch.export's form, by input name.
    shapes: length of an example -> the real shape of its ragged outputs, by name; where left out, ragged axes are as
    long as the example itself. equal_lengths: whether a batch may hold examples of one length only, because the network
    sees padding.
    """

    module: nn.Module
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    states: dict[str, tuple[str, ...]]
    ragged: dict[str, tuple[int, ...]]
    dynamic_shapes: dict[str, Any]
    shapes: Callable[[int], Mapping[str, tuple[int, ...]]] | None = None
    equal_lengths: bool = False

    @property
    def pooled(self) -> tuple[str, ...]:
        """Names of the outputs that are no cut's state."""
        state = {name for names in self.states.values() for name in names}
        return tuple(name for name in self.output_names if name not in state)


@dataclass(frozen=True)
class Recipe:
    """How this family is fine-tuned; rates after the published recipes named in the backbone's file.

    layer_decay: each unit further from the head learns at this share of the next one's rate.
    pull_to_start: L2-SP as decoupled decay: share of the way back to the start that weights behind the cut are drawn
    at each step, times the schedule's rate. label_smoothing: share of each target spread over all classes.
    contrast: weight of a loss that draws pooled features of one class together, for classes with few labels.
    averaged_share: of all steps, over which the weights that count are averaged; 0 takes the last ones.
    comes_first: whether this depth is tried before shallower ones where it fits; it was measured to be worth it.
    """

    learning_rate: float
    head_learning_rate: float
    batch_size: int
    max_epochs: int
    min_epochs: int = 3
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    layer_decay: float = 1.0
    pull_to_start: float = 0.0
    label_smoothing: float = 0.0
    contrast: float = 0.0
    averaged_share: float = 0.1
    comes_first: bool = False

    def at_rate(self, factor: float) -> Recipe:
        """The same with all learning rates multiplied."""
        return replace(
            self, learning_rate=factor * self.learning_rate, head_learning_rate=factor * self.head_learning_rate
        )


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
    allow_l2: whether rows of a feature may be brought to unit length. without_bias: features whose stock head is a
    matrix alone.
    depths: where it can be tuned from, shallowest first.
    views: names of the label-preserving variants of an input that may be cached; the first is the plain one.
    batch_budget: padded units (images, tokens, recordings) in one batch of the prefix.
    unit: what one example is called in messages.
    reads_targets: whether an example's states hold its target too, as those of a text that is written on do.
    base_cut: the cut whose states untuned answers are made from; None where these are the pooled features, or the
    inputs themselves.
    """

    source: ModelSource
    key: str
    features: tuple[str, ...]
    allow_l2: dict[str, bool]
    without_bias: tuple[str, ...]
    views: tuple[str, ...]
    depths: tuple[Depth, ...]
    batch_budget: int
    unit: str
    reads_targets: bool
    base_cut: str | None

    def encode(self, example: Example, view: str) -> Item:
        """Preprocess one input into unbatched arrays. Raises UnusableInput."""

    def length(self, item: Item) -> int:
        """Number of tokens (1 where inputs have one size): batches are formed from similar lengths."""

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        """Pad and stack items into a batch."""

    def cut_off(self, examples: Sequence[Example]) -> str:
        """How many inputs are longer than the network reads, of which only the beginning counts; "" for none."""

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        """The network, returning the states of these cuts and the pooled features."""

    def suffix(self, cut: str | None) -> nn.Module:
        """A trainable copy of the network behind the cut; None gives all of it."""

    def live(self) -> nn.Module:
        """All of the network as its library made it, for training from random weights: batch norm and dropout are at
        work. Takes and gives what suffix(None) does.
        """

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        """Pad and stack cached states of this cut (encoded inputs for None) into the suffix's inputs."""

    def recipe(self, depth: Depth) -> Recipe:
        """How this family is tuned at that depth."""

    def randomised(self, seed: int, sample: Sequence[Item]) -> Backbone:
        """The same architecture with random weights; batch norm calibrated on the sample."""

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        """Write a standard checkpoint folder; return its layout, "native" or "portable"."""


@runtime_checkable
class Windowed(Protocol):
    """A backbone that can read on where inputs are longer than the network reads: in windows, each a row of a batch.

    windows: of one input at most; 1 where the beginning alone is read. max_tokens: of a window.
    """

    windows: int
    max_tokens: int

    @property
    def can_read_on(self) -> bool:
        """Whether this network's windows can be joined."""

    def reading_on(self, windows: int) -> Backbone:
        """The same network, reading so many windows of each input at most."""

    def token_counts(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each whole input."""

    def window_lengths(self, item: Item) -> list[int]:
        """Length of each row that collate makes of this item."""

    def joined(self, parts: Sequence[Record], lengths: Sequence[int]) -> Record:
        """One input's record from those of its rows."""


@runtime_checkable
class Chunked(Protocol):
    """A backbone that hears the same length of every recording, however short that is.

    chunk_length: seconds, whole ones; None where what is heard has the recording's own length.
    """

    chunk_length: int | None

    def hearing(self, seconds: int) -> Backbone:
        """The same network, made for so many seconds."""


@runtime_checkable
class Timed(Protocol):
    """A backbone whose training steps are shorter for shorter inputs, though all states have one size, whole_length."""

    @property
    def whole_length(self) -> int: ...

    def step_length(self, example: Example) -> int:
        """How much of the state a step needs."""
