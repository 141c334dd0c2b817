"""The linear head: one affine map on frozen features, chosen among feature sets, normalisations and fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data.folds import grouped_folds
from headstart.errors import DataError, SettingError
from headstart.heads.normalise import Normalisation, l2_rows
from headstart.heads.search import (
    NEAR_TIE,
    Option,
    Trial,
    fit_trial,
    refit,
    try_logistic,
    try_ridge,
    try_ridge_on_folds,
)
from headstart.metrics.calibration import fold_temperature

__all__ = ["LinearFit", "LinearHead", "fit_linear_head", "fold_temperature", "refit_linear_head",
           "refit_with_own_penalty"]  # fmt: skip

SHORTLIST = 1.03
"""The logistic path runs on feature sets whose ridge score is within this factor of the best (two at most)."""

LOGISTIC_WORK = 4_000_000_000
"""Rows x dimensions x classes above which the logistic path (minutes) is skipped, and the trace says so."""


@dataclass(frozen=True)
class LinearHead:
    """logits = normalised features @ weight' + bias.

    weight: (C, D) float32. bias: (C,) float32. Standardisation and temperature are folded into both.
    feature: name of the feature set. kind: "ridge" or "logistic".
    normalisation: how it was fitted; at use "raw" and "standardised" are the same and "l2" divides rows by length.
    has_bias: False where the stock head is a matrix alone; bias is then zero.
    loo_log_loss: nats per row; leave-one-out (-group-out) for ridge, out-of-fold for logistic.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    feature: str
    normalisation: Normalisation
    kind: str
    description: str
    loo_log_loss: float
    penalty: float
    temperature: float
    has_bias: bool = True

    def logits(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Logits (N, C) of features (N, D). Raises DataError if D is not the width the head was fitted on."""
        if features.ndim != 2 or features.shape[1] != self.weight.shape[1]:
            wanted = f"(N, {self.weight.shape[1]})"
            raise DataError(f"The head needs '{self.feature}' features {wanted}, received {features.shape}.")
        rows = np.asarray(features, dtype=np.float32)
        if self.normalisation == "l2":
            rows = l2_rows(rows).astype(np.float32)
        return np.asarray(rows @ self.weight.T + self.bias)


class LinearFit(NamedTuple):
    """head: fitted to all rows. held_out: its held-out logits (N, C). trace: one line for everything tried.

    fold_heads: the same kind of head fitted without each of the folds that were passed in, in their order.
    """

    head: LinearHead
    held_out: npt.NDArray[np.float64]
    trace: list[dict[str, Any]]
    fold_heads: list[LinearHead]


def fit_linear_head(
    features: Mapping[str, npt.NDArray[np.floating]],
    labels: npt.NDArray[np.integer],
    n_classes: int,
    groups: Sequence[Any] | npt.NDArray[Any],
    rng: np.random.Generator,
    *,
    allow_l2: Mapping[str, bool] | bool = True,
    without_bias: Sequence[str] = (),
    kinds: Sequence[str] = ("ridge", "logistic"),
    n_folds: int = 3,
    folds: npt.NDArray[np.integer] | None = None,
) -> LinearFit:
    """The head with the lowest held-out log-loss.

    features: name -> (N, D), simplest first. labels: (N,) 0..n_classes-1. groups: (N,); never split.
    allow_l2: whether unit length may be tried, for all feature sets or by name. without_bias: feature sets whose head
    has no intercept. kinds: "ridge", "logistic" or both.
    folds: (N,) fold numbers on which ridge and logistic are compared, and without each of which the head is fitted as
    well; where left out, n_folds of groups, balanced by class, and no heads of folds.

    Ridge with its leave-one-out temperature ranks feature sets x normalisations; the logistic path runs on the best
    one or two; ridge and logistic are then compared on the same folds. Differences below 0.001 nats go to the simpler:
    ridge before logistic, earlier feature sets first, raw before standardised before l2.
    Raises DataError for features that do not fit the labels, and with fewer than two rows or groups.
    """
    kinds = tuple(kinds)
    if not kinds or set(kinds) - {"ridge", "logistic"}:
        raise SettingError(f"kinds holds 'ridge', 'logistic' or both, received {kinds}.")
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    _check(features, labels, n_classes, codes)
    wanted = folds is not None
    if folds is None:
        folds = grouped_folds(labels, codes, n_folds, int(rng.integers(2**31)))
    options = _options(features, allow_l2, without_bias)
    ridge = [try_ridge(option, features, labels, n_classes, codes) for option in options]
    trials = list(ridge)
    ranked = sorted(range(len(ridge)), key=lambda i: ridge[i].score)
    chosen = _simplest(ridge)
    work = len(labels) * min(len(labels), max(x.shape[1] for x in features.values())) * n_classes
    if "logistic" in kinds and (work <= LOGISTIC_WORK or "ridge" not in kinds):
        shortlist = _logistic_options([ridge[i].option for i in ranked], list(features))
        logistic = [try_logistic(option, features, labels, n_classes, folds) for option in shortlist]
        trials += logistic
        rivals = logistic
        if "ridge" in kinds:
            same_folds = try_ridge_on_folds(chosen, features, labels, n_classes, folds)
            trials.append(same_folds)
            rivals = [same_folds, *logistic]
        on_folds = _simplest(rivals)
        chosen = on_folds if on_folds.option.kind == "logistic" else chosen
    elif wanted:
        on_folds = try_ridge_on_folds(chosen, features, labels, n_classes, folds)
    weight, bias, held_out = fit_trial(chosen, features, labels, n_classes, codes)
    trace = [trial.row(trial is chosen) for trial in trials]
    if "logistic" in kinds and len(trials) == len(ridge):
        trace.append({"kind": "logistic", "skipped": f"{work:.1e} products per step is over {LOGISTIC_WORK:.1e}"})
    head = _head_of(chosen, weight, bias)
    fold_heads: list[LinearHead] = []
    if wanted:
        heat = chosen.temperature
        fold_heads = [_with(head, weight / heat, bias / heat) for weight, bias in on_folds.fold_weights]
    return LinearFit(head, held_out, trace, fold_heads)


def _head_of(chosen: Trial, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> LinearHead:
    return LinearHead(
        weight=np.ascontiguousarray(weight, dtype=np.float32),
        bias=bias.astype(np.float32),
        feature=chosen.option.feature,
        normalisation=chosen.option.normalisation,
        kind=chosen.option.kind,
        description=chosen.description(),
        loo_log_loss=chosen.score,
        penalty=chosen.penalty,
        temperature=chosen.temperature,
        has_bias=chosen.option.bias,
    )


def _with(head: LinearHead, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> LinearHead:
    return replace(head, weight=np.ascontiguousarray(weight, dtype=np.float32), bias=bias.astype(np.float32))


def refit_linear_head(
    head: LinearHead, features: Mapping[str, npt.NDArray[np.floating]], labels: npt.NDArray[np.integer], n_classes: int
) -> LinearHead:
    """The same kind of head, feature set, normalisation, penalty and temperature, fitted to other rows."""
    option = Option(head.feature, head.normalisation, head.kind, head.has_bias)
    weight, bias = refit(option, head.penalty, head.temperature, features, labels, n_classes)
    return _with(head, weight, bias)


def refit_with_own_penalty(
    head: LinearHead,
    features: Mapping[str, npt.NDArray[np.floating]],
    labels: npt.NDArray[np.integer],
    n_classes: int,
    groups: npt.NDArray[np.integer],
) -> LinearHead:
    """Ridge on the same feature set and normalisation, fitted to other rows with the penalty that suits these.

    groups: (N,); a group is left out as a whole where penalties are compared.
    """
    option = Option(head.feature, head.normalisation, "ridge", head.has_bias)
    codes = np.unique(groups, return_inverse=True)[1]
    trial = try_ridge(option, features, labels, n_classes, codes)
    weight, bias = refit(option, trial.penalty, trial.temperature, features, labels, n_classes)
    return replace(_with(head, weight, bias), kind="ridge", penalty=trial.penalty, temperature=trial.temperature)


def _options(
    features: Mapping[str, Any], allow_l2: Mapping[str, bool] | bool, without_bias: Sequence[str]
) -> list[Option]:
    options = []
    for name in features:
        kinds: list[Normalisation] = ["raw", "standardised"]
        if allow_l2 if isinstance(allow_l2, bool) else allow_l2.get(name, False):
            kinds.append("l2")
        options += [Option(name, kind, "ridge", name not in without_bias) for kind in kinds]
    return options


def _logistic_options(ranked: list[Option], order: list[str]) -> list[Option]:
    """The best two, simpler first, in which raw becomes standardised: the logistic path always standardises."""
    found = [Option(o.feature, "l2" if o.normalisation == "l2" else "standardised", "logistic", o.bias) for o in ranked]
    return sorted(list(dict.fromkeys(found))[:2], key=lambda o: (order.index(o.feature), o.normalisation == "l2"))


def _simplest(trials: list[Trial]) -> Trial:
    best = min(trial.score for trial in trials)
    return next(trial for trial in trials if trial.score <= best + NEAR_TIE)


def _check(features: Mapping[str, Any], labels: npt.NDArray[Any], n_classes: int, codes: npt.NDArray[Any]) -> None:
    if not features:
        raise DataError("No feature set was given. Pass at least one array of shape (N, D).")
    if len(codes) != len(labels):
        raise DataError(f"{len(codes)} groups for {len(labels)} labels. Pass one per row.")
    for name, values in features.items():
        if values.ndim != 2 or len(values) != len(labels):
            raise DataError(f"'{name}' features have shape {values.shape} for {len(labels)} labels, expected (N, D).")
        if not np.isfinite(values).all():
            rows = np.flatnonzero(~np.isfinite(values).all(1))
            raise DataError(f"'{name}' features of {len(rows)} rows are not finite (first: {rows[0]}). Drop them.")
    if labels.min() < 0 or labels.max() >= n_classes:
        raise DataError(f"Labels lie in {labels.min()}..{labels.max()}, but n_classes is {n_classes}.")
