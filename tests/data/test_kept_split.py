"""A split that is kept: test rows stay test rows and folds stay folds, whatever is corrected, added or taken away."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.data.kept_split import HEADER, SavedSplit, kept_split, load_split, split_rows
from headstart.data.split import Split, make_split
from headstart.errors import DataError
from headstart.types import Dataset, Example


def dataset(count: int, start: int = 0, shift: int = 0, split: str | None = None) -> Dataset:
    examples = tuple(
        Example(f"row {i + shift}", "", "ab"[i % 2], f"d{i}", f"d{i}", split) for i in range(start, start + count)
    )
    return Dataset("t", "text", Path(), examples, (), ("a", "b"), {}, "")


def saved(data: Dataset, split: Split, folder: Path) -> SavedSplit:
    with (folder / "split.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *split_rows(data, split)])
    return load_split(folder / "split.csv")


def parts(data: Dataset, split: Split) -> dict[str, int]:
    """Digest -> fold, -1 for a test row."""
    folds = {data.examples[r].digest: int(f) for r, f in zip(split.dev, split.folds)}
    return folds | {data.examples[r].digest: -1 for r in split.test}


@pytest.fixture
def many() -> Dataset:
    return dataset(1200)


def test_corrected_labels_move_no_row(many: Dataset, tmp_path: Path) -> None:
    made = make_split(many, 0, 0.2, True)
    kept = saved(many, made, tmp_path)
    flipped = replace(
        many, examples=tuple(replace(e, target="a") if i % 5 == 0 else e for i, e in enumerate(many.examples))
    )
    again, told = kept_split(flipped, kept, 0, True)
    assert parts(flipped, make_split(flipped, 0, 0.2, True)) != parts(many, made)  # drawn anew it would have moved
    assert parts(flipped, again) == parts(many, made)
    assert (again.method, told) == ("holdout", f"split of {kept.file}: 1200 rows keep their place")


def test_new_rows_are_learnt_from_in_all_folds_and_old_ones_stay(many: Dataset, tmp_path: Path) -> None:
    made = make_split(many, 0, 0.2, True)
    kept = saved(many, made, tmp_path)
    grown = dataset(1500)
    again, told = kept_split(grown, kept, 0, True)
    places = parts(grown, again)
    assert {d: p for d, p in places.items() if d in parts(many, made)} == parts(many, made)
    new = [places[f"d{i}"] for i in range(1200, 1500)]
    assert -1 not in new
    assert min(np.bincount(new, minlength=3)) > 80
    assert "300 new ones are learnt from" in told


def test_a_copy_of_a_test_row_is_never_learnt_from(many: Dataset, tmp_path: Path) -> None:
    made = make_split(many, 0, 0.2, True)
    kept = saved(many, made, tmp_path)
    tested = many.examples[made.test[0]]
    copies = (replace(tested, id="copy"), replace(tested, id="near", digest="new"))
    again, _ = kept_split(replace(many, examples=(*many.examples, *copies)), kept, 0, False)
    assert {1200, 1201} <= set(again.test.tolist())


def test_rows_are_known_by_content_where_ids_have_moved(many: Dataset, tmp_path: Path) -> None:
    made = make_split(many, 0, 0.2, True)
    kept = saved(many, made, tmp_path)
    where = int(made.test[5])  # a fresh row is put in before a test row and takes its id
    fresh = Example(f"row {where}", "", "a", "fresh", "fresh")
    moved = replace(many, examples=(*many.examples[:where], fresh, *dataset(1200 - where, where, shift=1).examples))
    again, _ = kept_split(moved, kept, 0, False)
    places = parts(moved, again)
    assert places.pop("fresh") >= 0
    assert places == parts(many, made)
    with pytest.raises(DataError, match=rf"{1200 - where} ids mean other rows.*Add new rows at the end"):
        kept_split(moved, kept, 0, True)


def test_a_row_whose_content_was_replaced_keeps_its_place(many: Dataset, tmp_path: Path) -> None:
    made = make_split(many, 0, 0.2, True)
    kept = saved(many, made, tmp_path)
    row = int(made.test[3])
    examples = list(many.examples)
    examples[row] = replace(examples[row], digest="better", group="better")
    again, _ = kept_split(replace(many, examples=tuple(examples)), kept, 0, True)
    assert row in again.test


def test_cross_validation_stays_beyond_a_thousand_rows(tmp_path: Path) -> None:
    few = dataset(900)
    kept = saved(few, make_split(few, 0, 0.2, True), tmp_path)
    again, told = kept_split(dataset(1100, start=100), kept, 0, True)
    assert (again.method, len(again.test), again.n_folds) == ("cross-validation", 0, 5)
    assert "100 are gone" in told


def test_what_cannot_be_kept_is_said(many: Dataset, tmp_path: Path) -> None:
    kept = saved(many, make_split(many, 0, 0.2, True), tmp_path)
    with pytest.raises(DataError, match="belongs to other data"):
        kept_split(dataset(50, start=5000, shift=9), kept, 0, False)
    with pytest.raises(DataError, match="does not exist"):
        load_split(tmp_path / "none.csv")
    (tmp_path / "odd.csv").write_text("input,digest,group,part,fold\nrow 1,d1,d1,train,x\n")
    with pytest.raises(DataError, match="part 'train' and the fold 'x'"):
        load_split(tmp_path / "odd.csv")


def test_a_class_in_a_single_fold_is_said(many: Dataset, tmp_path: Path) -> None:
    made = make_split(many, 0, 0.2, True)
    kept = saved(many, made, tmp_path)
    rows = set(made.dev[made.folds == 1][:6].tolist())
    examples = tuple(replace(e, target="c") if i in rows else e for i, e in enumerate(many.examples))
    with pytest.raises(DataError, match="All 6 rows to learn 'c' from are in one fold"):
        kept_split(replace(many, examples=examples, classes=("a", "b", "c")), kept, 0, True)
