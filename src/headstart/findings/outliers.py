"""Rows unlike all others: far from their class mean (Mahalanobis), and without neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FALSE_FLAGS = 0.05  # rows expected beyond a limit where nothing is wrong, in the whole data set
TAIL = 0.1  # share of the largest distances from which the tail is read
LONELY = 0.01  # share of rows with the largest distance to the k-th neighbour, among which an outlier must be
MIN_ROWS = 50


def outliers(distances: NDArray[np.floating], kth: NDArray[np.floating]) -> tuple[NDArray[np.bool_], float, float]:
    """Which rows (N,) are outliers, and the two limits that they exceed.

    distances: (N,) Mahalanobis distances, beyond the limit of tail_limit. kth: (N,) distances to the k-th neighbour,
    in the largest 1%: a kind of input that is rare but occurs more than k times is not an outlier. The cosine distance
    saturates in high dimensions, so that it could not carry a limit of its own.
    """
    limit, lonely = tail_limit(distances), float(np.quantile(kth, 1.0 - LONELY))
    return (distances > limit) & (kth > lonely), limit, lonely


def mahalanobis(features: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Distance (N,) of each row to its class mean, by a covariance that all classes share and that leaves it out.

    features: (N, D), used at unit length. labels: (N,). The covariance of the residuals is shrunk towards a multiple
    of the identity by Ledoit and Wolf (2004); a row's own part in it is taken out in closed form (Sherman-Morrison),
    its part in the class mean by the studentised residual. Without that no row could be far away where D > N.
    Source: Lee et al. 2018, at unit length as Mueller and Hein 2025 advise.
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    rows = features.astype(np.float64) / np.where(length > 0, length, 1.0)  # (N, D)
    _, codes = np.unique(labels, return_inverse=True)
    sizes = np.bincount(codes)
    for code in range(len(sizes)):
        rows[codes == code] -= rows[codes == code].mean(0)
    rows /= np.sqrt(1.0 - 1.0 / np.maximum(sizes[codes], 2))[:, None]
    covariance, shrinkage = shrunk_covariance(rows)
    solved = np.linalg.solve(covariance, rows.T).T  # (N, D)
    squared = (rows * solved).sum(1)
    own = (1.0 - shrinkage) * squared / len(rows)
    return np.asarray(np.sqrt(squared / np.maximum(1.0 - own, 1e-6)))


def shrunk_covariance(residuals: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(1 - s) S + s m I of rows with mean zero (N, D), and s, which minimises the expected squared error.

    Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    count, width = residuals.shape
    sample = residuals.T @ residuals / count  # (D, D)
    scale = float(np.trace(sample)) / width
    distance = float((sample**2).sum()) / width - scale**2
    squares = (residuals**2).sum(1)
    noise = (float((squares**2).sum()) / count - float((sample**2).sum())) / (count * width)
    shrinkage = 1.0 if distance <= 0 else min(max(noise, 0.0), distance) / distance
    covariance = (1.0 - shrinkage) * sample
    covariance[np.diag_indices(width)] += shrinkage * scale + 1e-12
    return covariance, shrinkage


def tail_limit(distances: NDArray[np.floating], false_flags: float = FALSE_FLAGS) -> float:
    """The distance that `false_flags` rows of this many are expected to exceed where none is an outlier.

    Above the 90th percentile the distance is taken to fall off exponentially, as those of normal, gamma and log-normal
    kinds do at most (peaks over threshold, Pickands 1975, with shape zero). The rate is read from the median excess and
    not from the mean: outliers must not move their own limit.
    """
    values = np.asarray(distances, dtype=np.float64)
    start = float(np.quantile(values, 1.0 - TAIL))
    excess = values[values > start] - start
    if not len(excess):
        return float("inf")
    return start + float(np.median(excess)) / float(np.log(2.0)) * float(np.log(len(excess) / false_flags))
