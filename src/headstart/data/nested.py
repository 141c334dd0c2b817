"""Nested subsets of labelled rows: each smaller one lies in the next, classes in proportion, groups whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]


def nested_sizes(smallest: int, largest: int, count: int = 6) -> list[int]:
    """At most `count` sizes in even ratios, both ends included; fewer where they would be equal."""
    if smallest >= largest:
        return [largest]
    return sorted({round(n) for n in np.geomspace(smallest, largest, count)})


def nested_subsets(
    labels: Ints, groups: Ints, sizes: Sequence[int], rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Positions of the rows of each subset, smallest first; a size is met up to the last group that still fits.

    labels: (N,). groups: (N,) codes. Every class comes in as early as it can, then in proportion to its rows.
    """
    names, codes = np.unique(groups, return_inverse=True)
    first = np.unique(codes, return_index=True)[1]
    of_class = labels[first]  # a group counts for the class of its first row
    places = np.empty(len(names))
    for label in np.unique(of_class):
        members = rng.permutation(np.flatnonzero(of_class == label))
        places[members] = (np.arange(len(members)) + rng.random()) / len(members)
        places[members[0]] = -rng.random()
    counts = np.bincount(codes)
    order = np.argsort(places)
    filled = np.cumsum(counts[order])
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    found = []
    for size in sizes:
        groups_in = max(1, int(np.searchsorted(filled, size, side="right")))
        found.append(np.flatnonzero(rank[codes] < groups_in).astype(np.int64))
    return found
