"""Score class predictions: metrics with intervals, confusion, calibration, and the most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.metrics import classification as metrics
from headstart.metrics.intervals import interval, interval_of
from headstart.tasks.task import Scores
from headstart.types import Interval, Prediction

SHOWN_MISTAKES = 12


def score_classes(predictions: Sequence[Prediction], groups: NDArray[np.int64], rng: np.random.Generator) -> Scores:
    """Accuracy (headline), log-loss, macro F1, balanced accuracy, Brier score and calibration error.

    predictions: labelled, with probabilities over all classes. groups: (n,) rows resampled together.
    """
    classes = list(predictions[0].probabilities)
    index = {name: i for i, name in enumerate(classes)}
    probabilities = np.array([[p.probabilities[c] for c in classes] for p in predictions])  # (n, C)
    labels = np.array([index[p.target or ""] for p in predictions])
    correct = metrics.row_correct(probabilities, labels).astype(np.float64)
    found = {
        "accuracy": interval(correct, None, groups, rng),
        "log_loss": interval(metrics.row_log_loss(probabilities, labels), None, groups, rng),
        "brier": interval(metrics.row_brier(probabilities, labels), None, groups, rng),
    }
    for name in ("macro_f1", "balanced_accuracy", "ece"):
        found[name] = _resampled(name, probabilities, labels, groups, rng)
    details: dict[str, Any] = {
        "confusion": {"labels": classes, "matrix": metrics.confusion(probabilities, labels).tolist()},
        "per_class": metrics.per_class(probabilities, labels, classes),
        "calibration": {"bins": metrics.reliability_bins(probabilities, labels)},
        "examples": _confident_mistakes(predictions),
    }
    return Scores(found, correct, np.ones(len(correct)), details)


def _resampled(
    name: str, probabilities: NDArray[Any], labels: NDArray[Any], groups: NDArray[np.int64], rng: np.random.Generator
) -> Interval:
    def value(rows: NDArray[np.int64]) -> float:
        return metrics.class_metrics(probabilities[rows], labels[rows])[name]

    return interval_of(value, len(labels), groups, rng, resamples=200)


def _confident_mistakes(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    wrong = [p for p in predictions if p.label != p.target]
    wrong.sort(key=lambda p: -p.probabilities[p.label or ""])
    return [
        {
            "input": p.id,
            "target": p.target,
            "output": p.label,
            "note": f"probability {p.probabilities[p.label or '']:.2f}",
            "score": p.probabilities[p.label or ""],
        }
        for p in wrong[:SHOWN_MISTAKES]
    ]
