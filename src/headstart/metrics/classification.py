"""Class metrics from probabilities (N, C) and labels (N,), and the per-row losses that intervals resample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

PROBABILITY_FLOOR = 1e-7
"""Probabilities of the true class are raised to this before the logarithm: no row can cost more than 16.1 nats."""


def class_metrics(probabilities: Floats, labels: Ints) -> dict[str, float]:
    """All class metrics of one set of predictions.

    probabilities: (N, C), rows sum to 1. labels: (N,), values 0..C-1.
    accuracy; log_loss in nats, clipped at PROBABILITY_FLOOR; macro_f1 over classes that occur in labels or
    predictions; balanced_accuracy over classes that occur in labels; brier summed over classes (0..2); ece over
    15 equal-width bins of the top probability (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    Raises DataError for empty input or shapes and labels that do not fit.
    """
    matrix = confusion(probabilities, labels)
    support, predicted, hits = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    occurs, seen = support > 0, (support + predicted) > 0
    f1 = 2 * hits[seen] / (support + predicted)[seen]
    bins = reliability_bins(probabilities, labels, bins=15)
    return {
        "accuracy": float(hits.sum() / matrix.sum()),
        "log_loss": float(row_log_loss(probabilities, labels).mean()),
        "macro_f1": float(f1.mean()),
        "balanced_accuracy": float((hits[occurs] / support[occurs]).mean()),
        "brier": float(row_brier(probabilities, labels).mean()),
        "ece": float(sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / matrix.sum()),
    }


def per_class(probabilities: Floats, labels: Ints, classes: Sequence[str]) -> list[dict[str, str | int | float]]:
    """One row per class: label, n (rows with this label), precision, recall, f1; 0 where a ratio is 0/0."""
    matrix = confusion(probabilities, labels)
    if len(classes) != len(matrix):
        raise DataError(f"{len(classes)} class names for {len(matrix)} columns of probabilities. Pass one per column.")
    support, predicted, hits = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    return [
        {
            "label": name,
            "n": int(support[c]),
            "precision": float(hits[c] / max(predicted[c], 1)),
            "recall": float(hits[c] / max(support[c], 1)),
            "f1": float(2 * hits[c] / max(support[c] + predicted[c], 1)),
        }
        for c, name in enumerate(classes)
    ]


def confusion(probabilities: Floats, labels: Ints) -> npt.NDArray[np.int64]:
    """Counts (C, C): row = true class, column = class with the highest probability (first on ties)."""
    _check(probabilities, labels)
    size = probabilities.shape[1]
    pairs = labels.astype(np.int64) * size + probabilities.argmax(1)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def reliability_bins(probabilities: Floats, labels: Ints, bins: int = 10) -> list[dict[str, float]]:
    """Equal-width bins (low, high] of the top probability: low, high, n, confidence, accuracy; none for empty bins."""
    correct = row_correct(probabilities, labels)
    top = probabilities.max(1).astype(np.float64)
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    rows = []
    for b in np.unique(place):
        here = place == b
        rows.append(
            {
                "low": float(b / bins),
                "high": float((b + 1) / bins),
                "n": int(here.sum()),
                "confidence": float(top[here].mean()),
                "accuracy": float(correct[here].mean()),
            }
        )
    return rows


def row_log_loss(probabilities: Floats, labels: Ints) -> npt.NDArray[np.float64]:
    """Log-loss of each row in nats (N,), clipped at PROBABILITY_FLOOR."""
    _check(probabilities, labels)
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(chosen, PROBABILITY_FLOOR, 1.0))


def row_correct(probabilities: Floats, labels: Ints) -> npt.NDArray[np.bool_]:
    """Whether the class with the highest probability is the label (N,)."""
    _check(probabilities, labels)
    return np.asarray(probabilities.argmax(1) == labels)


def row_brier(probabilities: Floats, labels: Ints) -> npt.NDArray[np.float64]:
    """Squared distance between each row of probabilities and its one-hot label (N,), 0..2 (Brier 1950)."""
    _check(probabilities, labels)
    error = probabilities.astype(np.float64)
    error[np.arange(len(labels)), labels] -= 1.0
    return np.asarray((error**2).sum(1))


def _check(probabilities: Floats, labels: Ints) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        shapes = f"probabilities {probabilities.shape} and labels {labels.shape}"
        raise DataError(f"Metrics need at least one row and shapes (N, C) and (N,), received {shapes}.")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        span = f"{labels.min()}..{labels.max()}"
        raise DataError(f"Labels lie in {span}, but there are {probabilities.shape[1]} columns. Renumber them from 0.")
    if not np.isfinite(probabilities).all():
        raise DataError("Some probabilities are not finite. Check the logits they were computed from.")
