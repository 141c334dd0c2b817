"""When a classifier should leave an input undecided: conformal sets, and inputs unlike the development rows.

Scores come from networks that did not see the row, one for each fold; what ships has learnt from all of them
(cross-conformal, Vovk 2015). So no theorem covers the shipped network exactly, and coverage is measured on test rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import HeadstartError
from headstart.heads.classes import ClassHead
from headstart.metrics.calibration import softmax
from headstart.metrics.conformal import CalibrationScores, prediction_sets, promise, true_class_scores
from headstart.metrics.intervals import interval
from headstart.metrics.ood import OodDetector, fit_ood_detector
from headstart.problem import Problem, Rows, spread_evenly
from headstart.tasks.task import Shipped, Uncertainty
from headstart.types import Prediction

ALPHAS = (0.01, 0.05, 0.10)
OOD_ROWS = 2000  # at most: more rows change the covariance little
MIN_OOD_ROWS = 20
CHUNK_ROWS = 128


def class_uncertainty(problem: Problem, shipped: Shipped, rng: np.random.Generator) -> Uncertainty:
    """Calibrate sets and detector on development rows; measure both on test rows, or sets on folds."""
    probabilities, labels = softmax(shipped.outputs.astype(np.float64)), problem.labels[shipped.rows]
    groups = problem.groups[shipped.rows]
    scores = CalibrationScores.of(true_class_scores(probabilities, labels), groups)
    if len(shipped.test_rows):
        held_out = _as_array(shipped.test_predictions, problem.dataset.classes)
        rows, on, sets = shipped.test_rows, "test", sets_by_alpha(scores, held_out)
    else:
        rows, on = shipped.rows, "cross_validation"
        sets = _fold_sets(probabilities, labels, groups, shipped.folds)
    conformal = {
        "score": "1 - probability of the true class",
        "rows": len(shipped.rows),
        "groups": scores.groups,
        "smallest_alpha": scores.smallest_alpha,
        "measured_on": on,
        "levels": _levels(scores, sets, problem.labels[rows], problem.groups[rows], rng),
    }
    detector, ood = _detector(problem, shipped, rng)
    return Uncertainty(scores, detector, {"conformal": conformal, "ood": ood})


def set_measures(
    sets: NDArray[np.bool_], labels: NDArray[np.int64], groups: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Any]:
    """Coverage, mean set size and share left undecided, of sets (N, C) for rows with these labels and groups.

    Coverage counts each group once, as the promise does, with its 95% interval; the others count rows.
    """
    covered = sets[np.arange(len(labels)), labels].astype(np.float64)
    _, code, size = np.unique(groups, return_inverse=True, return_counts=True)
    shares = 1.0 / size[code]
    return {
        "coverage": interval(covered * shares, shares, groups, rng).to_json(),
        "mean_set_size": float(sets.sum(1).mean()),
        "undecided": float((sets.sum(1) != 1).mean()),
    }


def measure_levels(
    scores: CalibrationScores, predictions: Sequence[Prediction], groups: NDArray[np.int64], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """What is promised at each of ALPHAS, and how labelled predictions keep it."""
    classes = list(predictions[0].probabilities)
    labels = np.array([classes.index(p.target or "") for p in predictions])
    return _levels(scores, sets_by_alpha(scores, _as_array(predictions, classes)), labels, groups, rng)


def _levels(
    scores: CalibrationScores,
    sets: dict[float, NDArray[np.bool_]],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """One record for each alpha; no threshold where the rows are too few for it, no coverage without sets."""
    found = []
    for alpha in ALPHAS:
        supported = alpha >= scores.smallest_alpha
        measured: dict[str, Any] = {"coverage": None, "mean_set_size": None, "undecided": None}
        found.append(
            {
                "alpha": alpha,
                "promised": 1.0 - alpha,
                "threshold": scores.threshold(alpha) if supported else None,
                "promise": promise(alpha) if supported else None,
                **(set_measures(sets[alpha], labels, groups, rng) if alpha in sets else measured),
            }
        )
    return found


def sets_by_alpha(scores: CalibrationScores, probabilities: NDArray[np.float64]) -> dict[float, NDArray[np.bool_]]:
    """Sets (N, C) for probabilities (N, C) at each of ALPHAS that the scores support."""
    supported = [alpha for alpha in ALPHAS if alpha >= scores.smallest_alpha]
    return {alpha: prediction_sets(probabilities, scores.threshold(alpha)) for alpha in supported}


def _fold_sets(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    folds: NDArray[np.int64],
) -> dict[float, NDArray[np.bool_]]:
    """Sets of each fold's rows by the scores of the others, at every alpha that these support; none for one fold."""
    scores, numbers = true_class_scores(probabilities, labels), np.unique(folds)
    if len(numbers) < 2:
        return {}
    others = {fold: CalibrationScores.of(scores[folds != fold], groups[folds != fold]) for fold in numbers}
    found = {}
    for alpha in ALPHAS:
        if any(alpha < other.smallest_alpha for other in others.values()):
            continue
        found[alpha] = np.zeros(probabilities.shape, dtype=bool)
        for fold, other in others.items():
            found[alpha][folds == fold] = prediction_sets(probabilities[folds == fold], other.threshold(alpha))
    return found


def _as_array(predictions: Sequence[Prediction], classes: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[p.probabilities[c] for c in classes] for p in predictions])


def _detector(
    problem: Problem, shipped: Shipped, rng: np.random.Generator
) -> tuple[OodDetector | None, dict[str, Any]]:
    """The detector, and how many test rows it flags; or why there is none."""
    chosen, features = _features_in_time(problem, shipped, rng)
    rows, folds = shipped.dev_rows[chosen], shipped.dev_folds[chosen]
    if len(rows) < MIN_OOD_ROWS:
        return None, {"rows": len(rows), "why_not": f"features of {len(rows)} development rows are too few, or the "
                      "budget left no time for more"}  # fmt: skip
    try:
        detector = fit_ood_detector(features, problem.labels[rows], problem.groups[rows], folds)
    except HeadstartError as error:
        return None, {"rows": len(rows), "why_not": str(error)}
    flagged = None
    if shipped.test_features is not None and len(shipped.test_rows):
        found = detector.flagged(detector.p_values(shipped.test_features)).astype(np.float64)
        flagged = interval(found, None, problem.groups[shipped.test_rows], rng).to_json()
    method = "Mahalanobis distance to the nearest class mean, on features of unit length"
    return detector, {"method": method, "rows": len(rows), "level": detector.level, "flagged_test_rows": flagged}


def _features_in_time(problem: Problem, shipped: Shipped, rng: np.random.Generator) -> tuple[Rows, NDArray[np.float32]]:
    """Positions (n,) in dev_rows, drawn evenly, and their features (n, D); a tuned network's as time allows."""
    begin = time.perf_counter()
    head, module = ClassHead(), shipped.module
    order = rng.permutation(spread_evenly(np.arange(len(shipped.dev_rows)), OOD_ROWS))
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(order), CHUNK_ROWS):
        if module is not None and time.perf_counter() - begin > shipped.seconds:
            break
        rows = shipped.dev_rows[order[start : start + CHUNK_ROWS]]
        found.append(head.pooled(problem, shipped.base, module, rows))
    return order[: sum(map(len, found))], np.concatenate(found) if found else np.zeros((0, 0), dtype=np.float32)
