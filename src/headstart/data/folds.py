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
    digests = [_digest(seed, name) for name in names.tolist()]
    sizes = np.bincount(codes)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    classes, dense = np.unique(labels, return_inverse=True)
    share = 1.0 / np.bincount(dense)  # (C,)
    counts = np.zeros((len(classes), n_folds))
    rows_in_fold = np.zeros(n_folds, dtype=np.int64)
    chosen = np.zeros(len(names), dtype=np.int64)
    for group in sorted(range(len(names)), key=lambda g: (-sizes[g], digests[g])):
        present, times = np.unique(dense[members[group]], return_counts=True)
        crowding = ((times * share[present])[:, None] * counts[present]).sum(0).round(12)  # (n_folds,)
        rotation = (np.arange(n_folds) + digests[group]) % n_folds
        fold = int(np.lexsort((rotation, rows_in_fold, crowding))[0])
        counts[present, fold] += times
        rows_in_fold[fold] += sizes[group]
        chosen[group] = fold
    return np.asarray(chosen[codes])


def _digest(seed: int, group: object) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=7).digest(), "big")
