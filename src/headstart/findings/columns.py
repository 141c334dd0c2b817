"""Columns that give the label away: association with a permutation test over all columns at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 199
LEVEL = 0.01  # for all columns together
STRONG = 0.25  # two equal classes and two values: right in 75 of 100 rows by the column alone


@dataclass(frozen=True)
class Association:
    """tau: share of the label's variation that the column explains, above chance. p: over all columns tested.

    right, majority: share of rows guessed right by each value's commonest label, and by the commonest of all.
    """

    tau: float
    p: float
    right: float
    majority: float

    @property
    def strong(self) -> bool:
        """Whether to warn."""
        return self.p <= LEVEL and self.tau >= STRONG


def associations(
    columns: Sequence[NDArray[np.integer]], labels: NDArray[np.integer], rng: np.random.Generator
) -> list[Association]:
    """How far each column predicts the labels.

    columns: each (N,) codes 0..K-1. labels: (N,) 0..C-1. Rows must be independent: one of each group.
    tau is Goodman and Kruskal's (1954), less what K values explain by chance, (K - 1) / (N - 1) of the rest. The labels
    are permuted, the same way for all columns, and each column is compared with the largest standardised value of any
    (Westfall and Young 1993), so that many columns raise no more false alarms than one.
    """
    n_classes = int(labels.max()) + 1
    observed = np.array([_tau(c, labels, n_classes) for c in columns])
    drawn = np.empty((PERMUTATIONS, len(columns)))
    for b in range(PERMUTATIONS):
        shuffled = rng.permutation(labels)
        drawn[b] = [_tau(c, shuffled, n_classes) for c in columns]
    centre, scale = drawn.mean(0), np.maximum(drawn.std(0), 1e-12)
    largest = ((drawn - centre) / scale).max(1)  # (B,)
    p = (1 + (largest >= ((observed - centre) / scale)[:, None]).sum(1)) / (PERMUTATIONS + 1)
    majority = float(np.bincount(labels).max() / len(labels))
    found = []
    for column, tau, chance in zip(columns, observed, p):
        right = float(_table(column, labels, n_classes).max(1).sum() / len(labels))
        found.append(Association(float(tau), float(chance), right, majority))
    return found


def _table(column: NDArray[np.integer], labels: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    size = int(column.max()) + 1
    return np.bincount(column * n_classes + labels, minlength=size * n_classes).reshape(size, n_classes)


def _tau(column: NDArray[np.integer], labels: NDArray[np.integer], n_classes: int) -> float:
    table = _table(column, labels, n_classes)
    count, totals = len(labels), table.sum(1)
    occurs = totals > 0
    base = float((table.sum(0) ** 2).sum()) / count
    if base >= count:
        return 0.0
    raw = (float(((table[occurs] ** 2).sum(1) / totals[occurs]).sum()) - base) / (count - base)
    chance = (int(occurs.sum()) - 1) / max(count - 1, 1)
    return (raw - chance) / (1.0 - chance) if chance < 1.0 else 0.0
