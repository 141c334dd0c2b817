"""The contract of a head: what turns a backbone's outputs into this task's targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Depth
from headstart.problem import Problem, Rows
from headstart.types import Prediction, Reporter

Outputs = NDArray[Any]  # (n, C) float logits, or (n,) objects holding texts


@dataclass(frozen=True)
class Aim:
    """What a training step minimises beside the plain loss.

    label_smoothing: share of each target spread over all classes. contrast: weight of a loss that draws pooled features
    of one class together; heads without classes leave it out.
    """

    label_smoothing: float = 0.0
    contrast: float = 0.0


PLAIN = Aim()


@dataclass(frozen=True)
class CandidateScore:
    """The decision metric per row, numerators over denominators (lower is better), and what was tried."""

    numerators: NDArray[Any]
    denominators: NDArray[Any]
    trace: list[dict[str, Any]]

    @property
    def value(self) -> float:
        """The metric over all rows."""
        return float(self.numerators.sum() / max(float(self.denominators.sum()), 1.0))


@dataclass(frozen=True)
class BaseFit:
    """base: the new head on frozen features, fitted to all rows. trace: one line for everything tried.

    fold_bases: the same kind of head fitted without each of the folds that were asked for.
    """

    base: Any
    trace: list[dict[str, Any]]
    fold_bases: list[Any]


@dataclass(frozen=True)
class Difference:
    """largest: in the unit of sentence. Above `noted` it is a warning, above `limit` the saved model is wrong."""

    largest: float
    noted: float
    limit: float
    sentence: str


@dataclass(frozen=True)
class DecodingLimits:
    """trial_s: seconds for trying another decoding. row_s: seconds that the answer to one row may take, if no more than
    those are spent. rows: that are to be answered. beams: at most that are tried.
    """

    trial_s: float
    row_s: float
    rows: int
    beams: int


@dataclass(frozen=True)
class Decoding:
    """beams: that are followed. length_penalty: power of the length that their log-probability is divided by. facts:
    what they were chosen by.

    row_s: seconds of an answer with what was tried, None where nothing was.
    """

    beams: int
    length_penalty: float = 1.0
    row_s: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Tunable(nn.Module):
    """What a rung trains: a network behind a cut with a head on it.

    cut: the cut that it continues from; None where it takes the inputs themselves.
    """

    def __init__(self, cut: str | None) -> None:
        super().__init__()
        self.cut = cut


class Head(Protocol):
    """A base is what stands before any tuning: a closed-form head, or the checkpoint's own."""

    @property
    def decision_metric(self) -> str:
        """Name of the metric that decides on depth; lower is better."""

    def prepare(self, problem: Problem, rows: Rows) -> None:
        """Told of the development rows before anything else."""

    def candidate_score(self, problem: Problem, rows: Rows, reporter: Reporter) -> CandidateScore:
        """How badly the untuned network fits these rows, and the trials behind that."""

    def fit_base(self, problem: Problem, rows: Rows, folds: NDArray[np.int64] | None = None) -> BaseFit:
        """Choose and fit the new head on frozen features. folds: (n,) fold number of each row."""

    def refit_base(self, problem: Problem, rows: Rows, like: Any) -> Any:
        """A head chosen before, its weights fitted anew to these rows."""

    def refit_tuned(self, problem: Problem, base: Any, module: Tunable, rows: Rows) -> Any:
        """A head fitted to the tuned network's features of these rows, which the module has from then on; the base as
        it is where heads are only trained.
        """

    def carried(self, base: Any, module: Tunable) -> Any:
        """What the next rung starts from after this one was kept: the base itself where that is fitted in closed form,
        else what training has made of it.
        """

    def random_base(self, problem: Problem) -> Any:
        """A head with random weights, for a network that is trained from random weights too."""

    def describe_base(self, base: Any) -> str:
        """A phrase for the summary."""

    def base_outputs(self, problem: Problem, base: Any, rows: Rows, reporter: Reporter) -> Outputs:
        """Outputs of the untuned network for these rows."""

    def build(self, problem: Problem, base: Any, depth: Depth) -> Tunable:
        """What this depth trains, starting exactly from the base."""

    def step_loss(
        self, problem: Problem, module: Tunable, rows: Rows, rng: np.random.Generator, aim: Aim = PLAIN
    ) -> torch.Tensor:
        """Training loss of one batch."""

    def dev_loss(self, problem: Problem, module: Tunable, rows: Rows) -> float:
        """Development loss, cheap enough for every epoch."""

    def agreement(self, problem: Problem, base: Any, module: Tunable, rows: Rows) -> float | None:
        """Likeness of the features before and after tuning, 0 to 1; None where the head reads no pooled features."""

    def outputs(self, problem: Problem, module: Tunable, rows: Rows, reporter: Reporter) -> Outputs:
        """Outputs of a tuned module for these rows."""

    def calibrate(self, problem: Problem, outputs: Outputs, rows: Rows) -> float:
        """One temperature by development log-loss; 1 where there are no probabilities."""

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        """Outputs with the temperature applied."""

    def differences(self, stock: Sequence[Prediction], ours: Sequence[Prediction]) -> Difference:
        """How far the saved model's answers are from the tuned module's."""

    def row_scores(self, problem: Problem, outputs: Outputs, rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
        """(numerators, denominators) per row of the decision metric, lower is better."""

    def draws(self, problem: Problem, outputs: Outputs, rows: Rows) -> tuple[float, NDArray[np.float64]] | None:
        """The decision metric and (B,) values of it with groups of rows drawn anew, paired for equal groups; None where
        it is the ratio of what `row_scores` gives.
        """

    def predictions(self, problem: Problem, outputs: Outputs, rows: Rows) -> list[Prediction]:
        """Outputs as the user sees them."""

    def save(
        self,
        problem: Problem,
        base: Any,
        module: Tunable | None,
        temperature: float,
        folder: Path,
        classes: Sequence[str],
    ) -> str:
        """Write the standard checkpoint; return its layout."""


def tuned_weights(module: nn.Module, part: str) -> dict[str, torch.Tensor]:
    """A submodule's parameters under the names they have in the original model; buffers are as they were."""
    named = module.get_submodule(part).named_parameters(remove_duplicate=False)
    return {name.removeprefix("graph_module."): value.detach().clone() for name, value in named}
