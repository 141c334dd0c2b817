"""Measures of several labels for one input, from probabilities (N, C) and which labels are right (N, C)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

FLOOR = 1e-7
GRID = np.linspace(0.05, 0.95, 19)
SHRINK = 10.0  # examples of a label that weigh as much as the threshold 0.5


def row_log_loss(probabilities: Floats, has: Bools) -> npt.NDArray[np.float64]:
    """Mean over labels of each row's binary log-loss in nats (N,)."""
    p = np.clip(np.where(has, probabilities, 1.0 - probabilities).astype(np.float64), FLOOR, 1.0)
    return np.asarray(-np.log(p).mean(1))


def row_f1(chosen: Bools, has: Bools) -> npt.NDArray[np.float64]:
    """F1 of each row's labels (N,): 1 where both sets are empty."""
    both, sizes = (chosen & has).sum(1), chosen.sum(1) + has.sum(1)
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def micro_f1(chosen: Bools, has: Bools) -> float:
    """F1 of all labels of all rows together."""
    return float(2 * (chosen & has).sum() / max(int(chosen.sum() + has.sum()), 1))


def label_f1(chosen: Bools, has: Bools) -> npt.NDArray[np.float64]:
    """F1 of each label (C,), 0 where it neither occurs nor is chosen."""
    return np.asarray(2 * (chosen & has).sum(0) / np.maximum(chosen.sum(0) + has.sum(0), 1))


def macro_f1(chosen: Bools, has: Bools) -> float:
    """Mean F1 over the labels that occur or are chosen."""
    seen = (chosen | has).any(0)
    return float(label_f1(chosen, has)[seen].mean()) if seen.any() else 0.0


def average_precision(scores: Floats, has: npt.NDArray[np.bool_]) -> float:
    """Of one label: mean precision at the rows that have it, ranked by score (N,); rows of equal score count together.

    NaN where no row has the label.
    """
    if not has.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], has[order].astype(np.float64)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each run of equal scores
    found = np.cumsum(hits)[last]
    precision = found / (last + 1)
    return float((np.diff(found, prepend=0.0) * precision).sum() / hits.sum())


def macro_average_precision(probabilities: Floats, has: Bools) -> float:
    """Mean over the labels that occur."""
    each = [average_precision(probabilities[:, c], has[:, c]) for c in range(has.shape[1]) if has[:, c].any()]
    return float(np.mean(each)) if each else 0.0


def thresholds(probabilities: Floats, has: Bools) -> npt.NDArray[np.float64]:
    """For each label the threshold (C,) with the highest F1 on these rows, drawn to 0.5 the more, the rarer the label.

    Of several as good the nearest to 0.5 is taken.
    """
    found = np.full(has.shape[1], 0.5)
    for c in range(has.shape[1]):
        count = int(has[:, c].sum())
        if not count:
            continue
        chosen = probabilities[:, c, None] >= GRID  # (N, T)
        f1 = 2 * (chosen & has[:, c, None]).sum(0) / (chosen.sum(0) + count)
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        pick = GRID[best[np.abs(GRID[best] - 0.5).argmin()]]
        found[c] = (count * pick + SHRINK * 0.5) / (count + SHRINK)
    return found


def per_label(chosen: Bools, has: Bools, names: Sequence[str]) -> list[dict[str, str | int | float]]:
    """One row per label: label, n (rows that have it), precision, recall, f1; 0 where a ratio is 0/0."""
    hits, said, true = (chosen & has).sum(0), chosen.sum(0), has.sum(0)
    return [
        {
            "label": name,
            "n": int(true[c]),
            "precision": float(hits[c] / max(said[c], 1)),
            "recall": float(hits[c] / max(true[c], 1)),
            "f1": float(2 * hits[c] / max(said[c] + true[c], 1)),
        }
        for c, name in enumerate(names)
    ]
