"""Folds along a column: what one of its values looks like is learnt from the others alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from headstart.data.split import Split, group_indices, require_learnable
from headstart.errors import DataError
from headstart.types import Dataset

MOST_FOLDS = 5  # more values are put together, so that the number of trainings stays what it is


def split_by_shift(dataset: Dataset, split: Split, column: str) -> Split:
    """The split with one fold of the development rows for each value of the column; at most five, of several values.

    Rows of a group stay in one fold, that of the value most of them have. Test rows stay as they are.
    Raises DataError where the column is unknown or its values cannot be held out.
    """
    values = shift_values(dataset, column)
    groups = group_indices(dataset)[split.dev]
    own = [values[row] for row in split.dev]
    counts = Counter(own)
    if len(counts) < 2:
        raise DataError(f"All rows to learn from have {column} = {own[0]!r}, so that nothing can be held out by it. "
                        "Name another column with --shift-column.")  # fmt: skip
    filled = [0] * min(MOST_FOLDS, len(counts))
    fold_of: dict[str, int] = {}
    for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        fold_of[value] = filled.index(min(filled))
        filled[fold_of[value]] += count
    members: dict[int, Counter[int]] = {}
    for group, value in zip(groups.tolist(), own):
        members.setdefault(group, Counter())[fold_of[value]] += 1
    folds = np.array([members[group].most_common(1)[0][0] for group in groups.tolist()], dtype=np.int64)
    _, folds = np.unique(folds, return_inverse=True)  # a fold may have lost its groups to another
    found = replace(split, folds=folds.astype(np.int64))
    require_learnable(dataset, found)
    return found


def shift_values(dataset: Dataset, column: str) -> tuple[str, ...]:
    """The column's value for each example.

    Raises DataError for a column that is not there, or that has a role or too many values.
    """
    if column in dataset.side:
        return dataset.side[column]
    close = get_close_matches(column, dataset.side, 1)
    known = f"columns with few values are {', '.join(dataset.side)}" if dataset.side else "the data have no such column"
    raise DataError(
        f"--shift-column {column!r} is no column with few values beside the input and the target; {known}."
        + (f" Did you mean {close[0]!r}?" if close else "")
    )
