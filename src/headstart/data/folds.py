"""Cross-validation folds that keep groups together and classes balanced."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError

Ints = npt.NDArray[np.integer]


def grouped_folds(labels: Ints, groups: Sequence[Any] | npt.NDArray[Any], n_folds: int, seed: int) -> Ints:
    """Fold number (N,), 0..n_folds-1, of each row.

    labels: (N,) int. groups: (N,) strings or ints; rows of one group share a fold. Largest groups are placed first,
    each where its classes are rarest so far, then where there are fewest rows; ties and the order of equals come
    from a hash of seed and group, so the result does not depend on the order of the rows.
    With fewer groups than n_folds there is one fold per group.
    Raises DataError if all rows are in one group.
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise DataError(f"All {len(labels)} rows are in one group, so none can be held out. Group them more finely.")
    n_folds = max(2, min(n_folds, len(names)))
    digests = [group_digest(seed, name) for name in names.tolist()]
    sizes = np.bincount(codes)
    by_group = np.argsort(codes, kind="stable")
    begins = np.cumsum(sizes) - sizes
    classes, dense = np.unique(labels, return_inverse=True)
    share = 1.0 / np.bincount(dense)  # (C,)
    counts = np.zeros((len(classes), n_folds))
    rows_in_fold = np.zeros(n_folds, dtype=np.int64)
    chosen = np.zeros(len(names), dtype=np.int64)
    order = np.lexsort((np.array(digests), -sizes))
    alone = int(np.searchsorted(-sizes[order], -1))  # the first group of one row: many data sets have no others
    for group in order[:alone].tolist():
        members = by_group[begins[group] : begins[group] + sizes[group]]
        present, times = np.unique(dense[members], return_counts=True)
        crowding = ((times * share[present])[:, None] * counts[present]).sum(0).round(12)  # (n_folds,)
        rotation = (np.arange(n_folds) + digests[group]) % n_folds
        fold = int(np.lexsort((rotation, rows_in_fold, crowding))[0])
        counts[present, fold] += times
        rows_in_fold[fold] += sizes[group]
        chosen[group] = fold
    chosen[order[alone:]] = _place_rows(
        dense[by_group[begins[order[alone:]]]].tolist(),
        [digests[group] for group in order[alone:].tolist()],
        counts.astype(np.int64).tolist(),
        rows_in_fold.tolist(),
    )
    return np.asarray(chosen[codes])


def _place_rows(classes: list[int], digests: list[int], counts: list[list[int]], filled: list[int]) -> list[int]:
    """The fold of each lone row, in this order; the same rule without arrays, which are slow for a million of them.

    counts: rows of each class in each fold so far; filled: rows in each fold. Both are changed.
    """
    chosen, folds = [], range(len(filled))
    for own, digest in zip(classes, digests):
        of_class = counts[own]
        fewest = min(of_class)
        best = min((f for f in folds if of_class[f] == fewest), key=lambda f: (filled[f], (f + digest) % len(filled)))
        of_class[best] += 1
        filled[best] += 1
        chosen.append(best)
    return chosen


def group_digest(seed: int, group: object) -> int:
    """A number below 2**56 that sets the group's place, whatever the order of the rows."""
    return int.from_bytes(
        hashlib.blake2b(f"{seed}:{group}".encode(errors="surrogatepass"), digest_size=7).digest(), "big"
    )
