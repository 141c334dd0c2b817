"""Draw a part of some rows: whole groups, each class in its share, smaller parts within larger ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST = 2  # groups of each class that are drawn before all others, so that one can be held out


@dataclass(frozen=True)
class Drawing:
    """An order in which rows are drawn, group after group.

    ends: (N,) int; how many rows are drawn once this one's group is. least: rows of the smallest part, which holds
    FIRST groups of each class.
    """

    ends: NDArray[np.int64]
    least: int

    def part(self, wanted: int) -> NDArray[np.bool_]:
        """Which rows (N,) are in the largest part of at most so many."""
        return np.asarray(self.ends <= wanted)

    def affordable(self, costly: NDArray[np.bool_], count: int) -> int:
        """Rows of the largest part that holds at most so many of the costly ones (N,)."""
        order = np.argsort(self.ends, kind="stable")
        too_many = np.cumsum(costly[order]) > count
        if not too_many.any():
            return len(order)
        return int(np.searchsorted(self.ends[order], self.ends[order[int(too_many.argmax())]]))


def draw(labels: NDArray[np.integer], groups: Sequence[Any] | NDArray[Any], seed: int) -> Drawing:
    """The order of rows with these labels (N,) and groups (N,): strings or ints, whose rows are drawn together.

    A group counts for the rarest of its classes. Within a class the order comes from a hash of seed and group; the
    j-th of a class's m rows is drawn after about j/m of all (systematic sampling, proportional allocation). So the
    order hardly changes where a few rows are added or left out.
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    digests = np.array([_digest(seed, name) for name in names.tolist()], dtype=np.int64)
    sizes = np.bincount(codes)
    _, dense = np.unique(labels, return_inverse=True)
    pairs = np.unique(dense.astype(np.int64) * len(names) + codes)
    classes, members = np.divmod(pairs, max(1, len(names)))

    by_class = np.lexsort((digests[members], classes))
    begins = np.searchsorted(classes[by_class], classes[by_class])
    is_first = np.zeros(len(names), dtype=bool)
    is_first[members[by_class[np.arange(len(pairs)) - begins < FIRST]]] = True

    owner = np.zeros(len(names), dtype=np.int64)
    commonest_first = np.argsort(-np.bincount(dense)[classes], kind="stable")
    owner[members[commonest_first]] = classes[commonest_first]  # the last one stays
    order = np.lexsort((digests, owner))
    held = np.cumsum(sizes[order])
    begins = np.searchsorted(owner[order], owner[order])
    before = held - sizes[order]
    totals = np.bincount(owner, weights=sizes)
    share = np.zeros(len(names))
    share[order] = (before - before[begins] + sizes[order] / 2) / totals[owner[order]]

    drawn = np.lexsort((digests, share, ~is_first))
    ends = np.zeros(len(names), dtype=np.int64)
    ends[drawn] = np.cumsum(sizes[drawn])
    return Drawing(np.asarray(ends[codes]), int(sizes[is_first].sum()))


def _digest(seed: int, group: object) -> int:
    return int.from_bytes(
        hashlib.blake2b(f"{seed}:{group}".encode(errors="surrogatepass"), digest_size=7).digest(), "big"
    )
