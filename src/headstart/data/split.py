"""Split groups of rows into development, test and folds, by seed and group hash."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.data.draw import Drawing, draw
from headstart.data.folds import grouped_folds
from headstart.data.label_sets import members, rarest
from headstart.errors import DataError
from headstart.types import Dataset

HOLDOUT_FROM_ROWS = 1000


@dataclass(frozen=True)
class Split:
    """Row indices into dataset.examples.

    dev: rows for training and every decision. test: held-out rows (empty with cross-validation).
    folds: fold of each dev row, for out-of-fold predictions. method: "given", "holdout" or "cross-validation".
    """

    dev: NDArray[np.int64]
    test: NDArray[np.int64]
    folds: NDArray[np.int64]
    method: str

    @property
    def n_folds(self) -> int:
        return int(self.folds.max()) + 1


def make_split(dataset: Dataset, seed: int, test_size: float, cross_validate_small: bool) -> Split:
    """Apply the data protocol.

    A given test set is used as it is. Otherwise 1,000 rows or more (or any number where cross_validate_small is
    false) hold out test_size; fewer are scored by 5-fold cross-validation.
    Raises DataError where a class or the whole set is too small to split.
    """
    labels = label_indices(dataset)
    groups = group_indices(dataset)
    rows = np.arange(len(dataset.examples))
    given = np.array([e.split == "test" for e in dataset.examples])
    if given.any():
        dev, test, method = rows[~given], rows[given], "given"
    elif len(rows) >= HOLDOUT_FROM_ROWS or not cross_validate_small:
        _require_two_groups(dataset, labels, groups)
        held = _held_out(labels, grouped_folds(labels, groups, max(2, round(1 / test_size)), seed))
        dev, test, method = rows[~held], rows[held], "holdout"
    else:
        _require_two_groups(dataset, labels, groups)
        dev, test, method = rows, rows[:0], "cross-validation"
    _check_classes(dataset, labels, dev)
    if len(np.unique(groups[dev])) < 2:
        raise DataError(f"{len(dev)} rows to learn from form a single group (the same content, near duplicates, or one "
                        "value of the group column), so none can be held out. Add more distinct examples.")  # fmt: skip
    n_folds = min(5 if method == "cross-validation" else 3, len(np.unique(groups[dev])))
    folds = grouped_folds(labels[dev], groups[dev], n_folds, seed + 1)
    return Split(dev, test, folds.astype(np.int64), method)


def label_indices(dataset: Dataset) -> NDArray[np.int64]:
    """Class index of each row; zeros where targets are texts; its rarest label's where it may have several."""
    if dataset.several:
        return rarest(members(dataset.examples, dataset.classes))
    index = {name: i for i, name in enumerate(dataset.classes)}
    return np.array([index.get(e.target or "", 0) for e in dataset.examples], dtype=np.int64)


def group_indices(dataset: Dataset) -> NDArray[np.int64]:
    """Group index of each row, numbered by sorted group name."""
    _, index = np.unique(np.array([e.group for e in dataset.examples]), return_inverse=True)
    return index.astype(np.int64)


def drawing_of(dataset: Dataset, rows: NDArray[np.int64], seed: int) -> Drawing:
    """The order in which a part of these rows is drawn."""
    groups = np.array([dataset.examples[r].group for r in rows])  # by name: numbers change where rows are left out
    return draw(label_indices(dataset)[rows], groups, seed + 4)


def _held_out(labels: NDArray[np.int64], folds: NDArray[np.integer]) -> NDArray[np.bool_]:
    """The first fold that leaves an example of every class to learn from (classes of few groups may fill one)."""
    classes = np.unique(labels)
    complete = [f for f in range(int(folds.max()) + 1) if len(np.unique(labels[folds != f])) == len(classes)]
    return np.asarray(folds == (complete[0] if complete else 0))


def _require_two_groups(dataset: Dataset, labels: NDArray[np.int64], groups: NDArray[np.int64]) -> None:
    """A class whose rows are all in one group cannot be learnt and tested apart."""
    if dataset.several:
        return  # a label that the test rows lack is scored on none
    for c, name in enumerate(dataset.classes):
        members = groups[labels == c]
        if len(np.unique(members)) == 1:
            raise DataError(f"All {len(members)} rows with the label {name!r} are in one group (the same content, "
                            "near duplicates, or one value of the group column), so they cannot be learnt from and "
                            "tested on. Add other examples of it, or remove the label.")  # fmt: skip


def require_learnable(dataset: Dataset, split: Split) -> None:
    """Raise DataError where a class has no row to learn from, or none once a fold is held out."""
    labels = label_indices(dataset)
    _check_classes(dataset, labels, split.dev)
    if split.n_folds < 2:
        raise DataError(f"The {len(split.dev)} rows to learn from form one fold, so none can be held out. Add rows.")
    for c, name in enumerate(dataset.classes if not dataset.several else ()):
        folds = split.folds[labels[split.dev] == c]
        if len(np.unique(folds)) == 1:
            raise DataError(f"All {len(folds)} rows to learn {name!r} from are in one fold of the split, so that it "
                            "cannot be learnt while they are held out. Add other examples of it.")  # fmt: skip


def _check_classes(dataset: Dataset, labels: NDArray[np.int64], dev: NDArray[np.int64]) -> None:
    if dataset.several:
        learnt = np.asarray(members([dataset.examples[row] for row in dev], dataset.classes).any(0))
        missing = [name for name, found in zip(dataset.classes, learnt.tolist()) if not found]
    else:
        missing = [name for c, name in enumerate(dataset.classes) if not (labels[dev] == c).any()]
    if missing:
        raise DataError(f"No training row has the label {missing[0]!r}, which occurs in the test rows. "
                        "Add training examples of it, or remove it from the test set.")  # fmt: skip
