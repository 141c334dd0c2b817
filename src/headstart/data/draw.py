"""Draw a part of some rows: whole groups, each class in its share, smaller parts within larger ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.folds import group_digest

FIRST = 2  # groups of each class without which it cannot be learnt while one of them is held out
LARGE = 0.02  # of all rows: groups of more come last in their class, so that a small part is of many groups


@dataclass(frozen=True)
class Drawing:
    """An order in which rows are drawn, group after group.

    ends: (N,) int; how many rows are drawn once this one's group is. firsts: (N,) bool; rows of each class's first
    groups.
    """

    ends: NDArray[np.int64]
    firsts: NDArray[np.bool_]

    def part(self, wanted: int, groups: int = 1) -> NDArray[np.bool_]:
        """Which rows (N,) are in the largest part of at most so many, or in that of so many groups."""
        fewest = np.unique(self.ends)[:groups]
        return np.asarray(self.ends <= max(wanted, *fewest.tolist(), 0))

    def learnable(self, wanted: int) -> NDArray[np.bool_]:
        """That part and, of classes too rare for it, the first groups."""
        return np.asarray((self.ends <= wanted) | self.firsts)

    def affordable(self, costly: NDArray[np.bool_], count: int) -> int:
        """The largest number for which the learnable part holds at most so many of the costly rows (N,)."""
        count = max(0, count - int(costly[self.firsts].sum()))
        order = np.argsort(self.ends, kind="stable")
        too_many = np.cumsum((costly & ~self.firsts)[order]) > count
        if not too_many.any():
            return len(order)
        return int(np.searchsorted(self.ends[order], self.ends[order[int(too_many.argmax())]]))


def draw(labels: NDArray[np.integer], groups: Sequence[Any] | NDArray[Any], seed: int) -> Drawing:
    """The order of rows with these labels (N,) and groups (N,): strings or ints, whose rows are drawn together.

    A group counts for the rarest of its classes. Within a class the order comes from a hash of seed and group; the
    j-th of a class's m rows is drawn when between (j - 1)/m and j/m of all are (one of each stratum). So the order
    hardly changes where a few rows are added or left out.
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    digests = np.array([group_digest(seed, name) for name in names.tolist()], dtype=np.int64)
    sizes = np.bincount(codes)
    is_large = sizes > max(1, LARGE * len(codes))
    _, dense = np.unique(labels, return_inverse=True)
    pairs = np.unique(dense.astype(np.int64) * len(names) + codes)
    classes, members = np.divmod(pairs, max(1, len(names)))

    owner = np.zeros(len(names), dtype=np.int64)
    commonest_first = np.argsort(-np.bincount(dense)[classes], kind="stable")
    owner[members[commonest_first]] = classes[commonest_first]  # the last one stays
    order = np.lexsort((digests, is_large, owner))
    before = np.cumsum(sizes[order]) - sizes[order]
    begins = np.searchsorted(owner[order], owner[order])
    totals = np.bincount(owner, weights=sizes)
    share = np.zeros(len(names))
    within = (digests[order] & 0xFFFFF) / 2**20  # so that rare classes of one size are not all drawn at one point
    share[order] = (before - before[begins] + within * sizes[order]) / totals[owner[order]]
    drawn = np.lexsort((digests, share))
    ends = np.zeros(len(names), dtype=np.int64)
    ends[drawn] = np.cumsum(sizes[drawn])

    by_class = np.lexsort((ends[members], classes))
    begins = np.searchsorted(classes[by_class], classes[by_class])
    is_first = np.zeros(len(names), dtype=bool)
    is_first[members[by_class[np.arange(len(pairs)) - begins < FIRST]]] = True
    return Drawing(np.asarray(ends[codes]), np.asarray(is_first[codes]))
