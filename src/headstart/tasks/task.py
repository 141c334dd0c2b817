"""What a task is: its data, head, metrics and baselines, as one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.features import Extractor
from headstart.heads.head import Decoding, DecodingLimits, Head, Outputs, Tunable
from headstart.metrics.conformal import CalibrationScores
from headstart.metrics.intervals import drawn_interval, paired_difference
from headstart.metrics.learning_curve import MeasuredErrors
from headstart.metrics.ood import OodDetector
from headstart.problem import Problem, Rows
from headstart.types import Example, Interval, Prediction, Reporter


@dataclass(frozen=True)
class Scores:
    """Metrics of one set of predictions on labelled rows.

    metrics: name -> interval (95%, groups resampled). numerators, denominators: the headline metric per row.
    details: parts of result.json that this task adds (confusion, per_class, calibration, examples).
    draws: (B,) the headline metric with groups drawn anew, where it is no ratio of sums; the draws depend on the number
    of groups alone, so that those of two systems are paired.
    """

    metrics: dict[str, Interval]
    numerators: NDArray[np.float64]
    denominators: NDArray[np.float64]
    details: dict[str, Any] = field(default_factory=dict)
    draws: NDArray[np.float64] | None = None

    def to_json(self) -> dict[str, Any]:
        """The metrics, as result.json holds them."""
        return {name: value.to_json() for name, value in self.metrics.items()}


@dataclass(frozen=True)
class ControlSetup:
    """What a control needs beside the problem: the pretrained network's extractor, how many labels and test rows at
    most, and the engine that another network runs in.
    """

    extractor: Extractor
    max_labels: int
    max_test: int
    reporter: Reporter
    engine: str


@dataclass(frozen=True)
class Control:
    """Predictions of what transfer is compared with, on the same rows and with the same number of labels.

    rows: the test rows used. transfer: predictions of the pretrained counterpart where it differs from the shipped
    model, else None, and the shipped model's own are compared.
    """

    name: str
    predictions: list[Prediction]
    transfer: list[Prediction] | None
    labels: int
    rows: Rows


@dataclass(frozen=True)
class Shipped:
    """What ships, and what is known of it on rows that it may be measured on.

    module: the tuned network, None for the untuned one. base: its untuned head. outputs: out-of-fold ones for `rows`,
    calibrated; folds: (n,) fold of each. dev_rows, dev_folds: all development rows. test_rows: held-out rows, maybe
    none; test_predictions, test_features (n, D): the saved model's for them. seconds: that may be spent.
    """

    base: Any
    module: Tunable | None
    outputs: Outputs
    rows: Rows
    folds: NDArray[np.int64]
    dev_rows: Rows
    dev_folds: NDArray[np.int64]
    test_rows: Rows
    test_predictions: Sequence[Prediction]
    test_features: NDArray[np.float32] | None
    seconds: float


@dataclass(frozen=True)
class Uncertainty:
    """What is saved with a model, and the parts of result.json that describe it: conformal, ood.

    detector: None where there was no time or were too few rows for one.
    """

    scores: CalibrationScores
    detector: OodDetector | None
    details: dict[str, Any]


ScoreFunction = Callable[[Sequence[Prediction], NDArray[np.int64], np.random.Generator], Scores]
NaiveFunction = Callable[[Sequence[Example], Sequence[Example], Sequence[str], int], list[Prediction]]
ControlFunction = Callable[[Problem, Rows, Rows, ControlSetup], Control]
DecodingFunction = Callable[
    [Problem, Tunable | None, Outputs, Rows, NDArray[np.float64], DecodingLimits, tuple[int, float] | None, Reporter],
    Decoding,
]
UncertaintyFunction = Callable[[Problem, Shipped, np.random.Generator], Uncertainty]
LabelCurveFunction = Callable[[Problem, Any, Rows, float], MeasuredErrors | str]


@dataclass(frozen=True)
class Task:
    """modality and target_kind decide which data a task fits; stages never look at either.

    untuned: name of the rung before any tuning.
    headline: the metric people quote; headline_unit: what a hundredth of it is called. cross_validate_small:
    whether fewer than 1,000 rows are cross-validated
    (false where every fold repeats a costly training).
    decision_folds: how many folds of development data decide on depth; None for all of them.
    naive: a baseline without any pretrained model, or None. control: what pretraining is measured against;
    control_passes: its passes of the prefix over its labels and its test rows; control_test_rows: at most so many of
    these, and fewer where the budget is short. choose_decoding: settles how answers are decoded, None where they are
    not. uncertainty: what the saved model can say of its own doubt, or None. label_curve: errors of the untuned head by
    number of labels, or None. decision_rows: held-out rows that decide on depth at most, where every answer is costly.
    exclusive_classes: whether an input has one class; else any number of them. views_move_targets: whether targets are
    moved with a view of their input, so that no view can be wrong. reading: the headline's value -> what it means for
    use, in words.
    """

    name: str
    modality: str
    target_kind: str
    head: Head
    untuned: str
    headline: str
    headline_unit: str
    lower_is_better: bool
    cross_validate_small: bool
    decision_folds: int | None
    score: ScoreFunction
    naive_name: str
    naive: NaiveFunction | None
    control: ControlFunction
    control_passes: tuple[int, int]
    control_test_rows: int
    choose_decoding: DecodingFunction | None
    uncertainty: UncertaintyFunction | None
    label_curve: LabelCurveFunction | None = None
    decision_rows: int | None = None
    exclusive_classes: bool = True
    views_move_targets: bool = False
    reading: Callable[[float], str] | None = None

    def gain(self, ours: Scores, theirs: Scores, groups: NDArray[np.int64], rng: np.random.Generator) -> Interval:
        """Paired 95% interval of the headline metric's improvement on the same rows; positive means ours is better."""
        if ours.draws is not None and theirs.draws is not None:
            value = ours.metrics[self.headline].value - theirs.metrics[self.headline].value
            return drawn_interval(value, ours.draws - theirs.draws, len(np.unique(groups)))
        better, worse = (theirs, ours) if self.lower_is_better else (ours, theirs)
        return paired_difference(better.numerators, worse.numerators, ours.denominators, groups, rng, level=0.95)

    @property
    def control_is_untuned(self) -> bool:
        """Whether the control is the untuned rung itself: it learns from no label."""
        return self.control_passes[0] == 0
