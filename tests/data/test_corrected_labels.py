"""Corrected labels take the place of those in the data, and what does not fit is said."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from headstart.data.columns import infer
from headstart.data.labels import read_corrections, with_corrected
from headstart.data.table import RawTable, read_table
from headstart.errors import DataError


@pytest.fixture
def table(tmp_path: Path) -> RawTable:
    file = tmp_path / "data.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *[(f"text {i}", ("cat", "dog")[i % 2]) for i in range(20)]])
    return read_table(file)


def corrected(table: RawTable, folder: Path, text: str) -> tuple[RawTable, int]:
    (folder / "right.csv").write_text(text)
    return with_corrected(table, infer(table), folder / "right.csv")


@pytest.mark.parametrize("text", [
    "input,given,suggested,score,reason\nrow 1,cat,dog,0.9,why\nrow 3,cat,dog,0.8,why\n",
    "input,suggested,label\nrow 1,cat,dog\nrow 3,dog,\n",  # what the user wrote counts before the suggestion
    "row,label\n1,dog\n3,dog\n",
    "id,label\nrow 1,dog\nrow 3,dog\nrow 1,dog\n",
], ids=["a findings file", "a column of the user's", "numbers", "the same twice"])  # fmt: skip
def test_labels_are_put_in_place_and_counted(table: RawTable, tmp_path: Path, text: str) -> None:
    made, changed = corrected(table, tmp_path, text)
    labels = [row.values["label"] for row in made.rows]
    assert changed == 2
    assert [i for i, row in enumerate(table.rows) if row.values["label"] != labels[i]] == [0, 2]
    assert labels[0] == labels[2] == "dog"
    assert "2 labels corrected by right.csv" in made.notes


def test_lines_without_a_label_are_passed_over_and_what_is_so_already_is_told(table: RawTable, tmp_path: Path) -> None:
    made, changed = corrected(table, tmp_path, "input,given,suggested\nrow 1,cat,\nrow 2,cat,dog\nrow 3,cat,dog\n")
    assert changed == 1
    assert "1 corrections in right.csv are what the data say already" in made.notes


@pytest.mark.parametrize(("text", "message"), [
    ("input,label\nrow 99,dog\n", r"1 of 1 ids .* belong to no row .*row 99"),
    ("input,label\nrow 1,dog\nrow 1,cat\n", r"1 rows two labels each: row 1 as 'dog' and 'cat'"),
    ("input,given,label\nrow 1,dog,bird\n", r"contradicts the data in 1 of 1 rows: row 1 is 'cat', not 'dog'"),
    ("input,label\nrow 1,dogg\n", r"gives 1 rows the label 'dogg'.*Did you mean 'dog'\?.*5 rows at least.*cat, dog"),
    ("input,label\nrow 1,\n", r"corrects nothing: none of its 1 lines"),
    ("input,reason\nrow 1,x\n", r"none named label, label or suggested|none named label or suggested|none named label"),
    ("text,label\nrow 1,dog\n", r"none named input or id"),
], ids=["unknown id", "conflict", "other label", "unknown class", "nothing", "no label column", "no id"])  # fmt: skip
def test_what_does_not_fit_is_said(table: RawTable, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        corrected(table, tmp_path, text)


def test_one_row_under_two_names_has_one_label(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("file_name,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(9)))
    with pytest.raises(DataError, match=r"two labels: 0\.png as 'b' and row 1 as 'a'"):
        corrected(read_table(tmp_path / "data.csv"), tmp_path, "input,label\n0.png,b\nrow 1,a\n")


def test_a_new_class_is_allowed_with_enough_rows(table: RawTable, tmp_path: Path) -> None:
    lines = "".join(f"row {i},bird\n" for i in range(1, 6))
    made, changed = corrected(table, tmp_path, f"input,label\n{lines}")
    assert changed == 5
    assert "new class 'bird' with 5 rows" in made.notes


def test_a_class_that_corrections_empty_is_told(table: RawTable, tmp_path: Path) -> None:
    lines = "".join(f"row {i},cat\n" for i in range(2, 21, 2))
    assert "no row is left with the label 'dog'" in corrected(table, tmp_path, f"input,label\n{lines}")[0].notes


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist\. Give --labels"):
        read_corrections(tmp_path / "none.csv", "label")
