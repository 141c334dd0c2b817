"""One option of the linear head's search: what it is, how it scores, and its final fit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.heads.logistic import LogisticPath, logistic_fit, logistic_path
from headstart.heads.normalise import Normalisation, fold_back, l2_rows, normalised
from headstart.heads.ridge import RidgePath, best_penalty, ridge_fit, ridge_path
from headstart.metrics.calibration import tempered_log_loss

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Features = Mapping[str, npt.NDArray[np.floating]]

NEAR_TIE = 1e-3
"""Nats of log-loss below which the simpler option is taken."""


@dataclass(frozen=True)
class Option:
    """One cell of the search. bias: False where what ships is a matrix alone."""

    feature: str
    normalisation: Normalisation
    kind: str  # "ridge" or "logistic"
    bias: bool = True


@dataclass(frozen=True)
class Trial:
    """An option with its best penalty, its held-out log-loss (nats), and how that was measured.

    fold_weights: weight (C, D) and bias (C,) without each fold, where folds were used; temperature not applied.
    """

    option: Option
    penalty: float
    temperature: float
    score: float
    scored_by: str  # "leave-one-out" or "3 folds"
    seconds: float
    path: LogisticPath | None = field(default=None, repr=False, compare=False)
    fold_weights: list[tuple[Floats, Floats]] = field(default_factory=list, repr=False, compare=False)

    def row(self, chosen: bool) -> dict[str, Any]:
        """The line for log.jsonl."""
        return {
            "feature": self.option.feature,
            "normalisation": self.option.normalisation,
            "kind": self.option.kind,
            "penalty": self.penalty,
            "temperature": self.temperature,
            "score": self.score,
            "scored_by": self.scored_by,
            "seconds": self.seconds,
            "chosen": chosen,
        }

    def description(self) -> str:
        """One phrase for the summary."""
        how = f"{self.option.kind} on {self.option.normalisation} '{self.option.feature}' features"
        fit = f"penalty {self.penalty:.3g}, temperature {self.temperature:.3g}"
        return f"{how}, {fit}, {self.scored_by} log-loss {self.score:.3f}"


def try_ridge(option: Option, features: Features, labels: Ints, n_classes: int, groups: Ints) -> Trial:
    """Best of 25 penalties by exact leave-one-out (-group-out) log-loss after one temperature each."""
    started = time.perf_counter()
    path = _ridge(option, features, labels, n_classes, groups, None)
    best, (score, temperature) = best_penalty(path, lambda index: tempered_log_loss(path.leave_one_out(index), labels))
    seconds = time.perf_counter() - started
    return Trial(option, float(path.lambdas[best]), temperature, score, "leave-one-out", seconds)


def try_ridge_on_folds(trial: Trial, features: Features, labels: Ints, n_classes: int, folds: Ints) -> Trial:
    """The same ridge on the folds that the logistic path uses: leave-one-out would flatter it."""
    started = time.perf_counter()
    rows, mean, factor = _normalised(trial.option, features)
    onehot = np.eye(n_classes)[labels]
    logits = np.empty((len(rows), n_classes))
    fitted = []
    for fold in np.unique(folds):
        out = folds == fold
        weight, bias = ridge_fit(rows[~out], onehot[~out], trial.penalty, trial.option.bias)
        logits[out] = rows[out] @ weight.T + bias
        fitted.append(fold_back(weight, bias, mean, factor))
    score, temperature = tempered_log_loss(logits, labels)
    seconds = time.perf_counter() - started
    return Trial(trial.option, trial.penalty, temperature, score, f"{len(fitted)} folds", seconds, fold_weights=fitted)


def try_logistic(option: Option, features: Features, labels: Ints, n_classes: int, folds: Ints) -> Trial:
    """The logistic path on one feature set; the trial keeps the fit."""
    started = time.perf_counter()
    path = logistic_path(_unit_length(option, features), labels, n_classes, None, folds, option.bias)
    score, seconds = float(path.fold_log_loss.min()), time.perf_counter() - started
    told = f"{len(path.fold_weights)} folds"
    return Trial(option, path.penalty, path.temperature, score, told, seconds, path, path.fold_weights)


def fit_trial(
    trial: Trial, features: Features, labels: Ints, n_classes: int, groups: Ints
) -> tuple[Floats, Floats, Floats]:
    """Weight (C, D), bias (C,) of the fit to all rows, for raw or l2 features, and held-out logits (N, C)."""
    if trial.path is not None:
        logistic, heat = trial.path, trial.temperature
        return logistic.weight / heat, logistic.bias / heat, logistic.fold_logits / heat
    path = _ridge(trial.option, features, labels, n_classes, groups, np.array([trial.penalty]))
    weight, bias = path.weights(0)
    _, mean, factor = _normalised(trial.option, features)
    weight, bias = fold_back(weight, bias, mean, factor)
    return weight / trial.temperature, bias / trial.temperature, path.leave_one_out(0) / trial.temperature


def refit(
    option: Option, penalty: float, temperature: float, features: Features, labels: Ints, n_classes: int
) -> tuple[Floats, Floats]:
    """Weight (C, D) and bias (C,) of an option chosen before, fitted to other rows."""
    if option.kind == "logistic":
        weight, bias = logistic_fit(_unit_length(option, features), labels, n_classes, penalty, option.bias)
    else:
        rows, mean, factor = _normalised(option, features)
        fitted = ridge_fit(rows, np.eye(n_classes)[labels], penalty, option.bias)
        weight, bias = fold_back(*fitted, mean, factor)
    return weight / temperature, bias / temperature


def _ridge(
    option: Option, features: Features, labels: Ints, n_classes: int, groups: Ints, lambdas: Floats | None
) -> RidgePath:
    rows = _normalised(option, features)[0]
    single = int(groups.max()) + 1 == len(groups)
    return ridge_path(rows, np.eye(n_classes)[labels], lambdas, None if single else groups, option.bias)


def _normalised(option: Option, features: Features) -> tuple[Floats, Floats, Floats]:
    return normalised(features[option.feature], option.normalisation, option.bias)


def _unit_length(option: Option, features: Features) -> npt.NDArray[np.floating]:
    rows = features[option.feature]
    return l2_rows(rows) if option.normalisation == "l2" else rows
