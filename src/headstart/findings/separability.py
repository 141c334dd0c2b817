"""Can classes be told apart at all? Areas under the ROC curve with intervals that respect groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Z = 1.959964  # 95%, two sides


def auc_interval(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], groups: NDArray[np.integer]
) -> tuple[float, float, float]:
    """Area under the ROC curve with the ends of its 95% interval, (value, low, high).

    scores: (N,), higher means positive. positive: (N,), both kinds occur. groups: (N,) rows that are not independent.
    Variance from each row's influence (DeLong et al. 1988), summed within groups as Obuchowski (1997) does.
    """
    hits, misses = scores[positive], scores[~positive]
    above = _share_below(hits, misses)  # of each positive: share of negatives below it
    below = 1.0 - _share_below(misses, hits)  # of each negative: share of positives above it
    value = float(above.mean())
    influence = np.empty(len(scores))
    influence[positive] = (above - value) / len(hits)
    influence[~positive] = (below - value) / len(misses)
    _, codes = np.unique(groups, return_inverse=True)
    sums = np.bincount(codes, influence)
    # few rows can all be right by luck: half a pair counts as wrong, so that no interval has zero width
    smallest = min(len(hits), len(misses))
    error = np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1) + (0.25 / smallest) ** 2 / smallest)
    return value, max(0.0, value - Z * float(error)), min(1.0, value + Z * float(error))


def _share_below(values: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """For each value the share of others below it; equal ones count half."""
    ordered = np.sort(others)
    low, high = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((low + high) / (2.0 * len(others)))


def confused_pairs(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], limit: int
) -> list[tuple[int, int]]:
    """Pairs of classes taken for each other at least once, the largest share of their rows first, at most `limit`."""
    size = probabilities.shape[1]
    matrix = np.bincount(labels * size + probabilities.argmax(1), minlength=size * size).reshape(size, size)
    counts = np.bincount(labels, minlength=size)
    mutual = np.triu(matrix + matrix.T, k=1)
    left, right = np.nonzero(mutual)
    share = mutual[left, right] / np.maximum(np.minimum(counts[left], counts[right]), 1)
    order = np.argsort(-share, kind="stable")[:limit]
    return [(int(left[i]), int(right[i])) for i in order]
