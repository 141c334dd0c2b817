"""The nearest rows by cosine similarity, never of the same group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 512  # rows compared at once: 512 x 20,000 similarities are 41 MB


def unit_rows(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows of (N, D) centred on their mean and divided by their length.

    Pooled features share a large common direction; without it cosines spread out.
    """
    centred = features - features.mean(0, dtype=np.float64)  # float64: sums over many rows
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(length > 0, length, 1.0), dtype=np.float32)


def nearest(
    rows: NDArray[np.float32], groups: NDArray[np.integer], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions and cosine similarities (N, k) of each row's k nearest rows of other groups, nearest first.

    rows: (N, D) of unit length. Where fewer than k rows are in other groups the rest is -1 with similarity -inf.
    """
    count = len(rows)
    k = min(k, count)
    found = np.empty((count, k), dtype=np.int64)
    similar = np.empty((count, k), dtype=np.float32)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        cosine = rows[start:stop] @ rows.T  # (B, N)
        cosine[groups[start:stop, None] == groups] = -np.inf
        top = np.argpartition(-cosine, k - 1, axis=1)[:, :k] if k < count else np.tile(np.arange(k), (stop - start, 1))
        values = np.take_along_axis(cosine, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        found[start:stop] = np.take_along_axis(top, order, axis=1)
        similar[start:stop] = np.take_along_axis(values, order, axis=1)
    found[np.isneginf(similar)] = -1
    return found, similar


def vote(neighbours: NDArray[np.int64], labels: NDArray[np.integer], n_classes: int) -> NDArray[np.float64]:
    """Class probabilities (N, C) by the neighbours' labels, with one extra vote shared out by class frequency."""
    prior = np.bincount(labels, minlength=n_classes) / len(labels)
    votes = np.tile(prior, (len(neighbours), 1))
    for column in neighbours.T:
        rows = np.flatnonzero(column >= 0)
        np.add.at(votes, (rows, labels[column[rows]]), 1.0)
    return np.asarray(votes / votes.sum(1, keepdims=True))
