"""Several labels in a cell: lists, separators, what looks like either, and folds by the rarest label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headstart.data.check import check
from headstart.data.columns import infer
from headstart.data.label_sets import holds_lists, joined, labels_of, members, parse_cell, rarest, separator_of
from headstart.data.split import label_indices, make_split
from headstart.data.table import RawTable, Row
from headstart.errors import DataError
from headstart.types import Dataset, Silent


def dataset(cells: list[str], separator: str | None = None) -> Dataset:
    rows = [Row(f"row {i}", {"text": f"text number {i}", "label": cell}) for i, cell in enumerate(cells)]
    table = RawTable(rows, Path(), "table", ("text", "label"))
    columns = infer(table, separator=separator)
    assert columns.target_kind == "labels"
    return check(table, columns, "multi-label-text-classification", Path(), Silent())


def test_cells_hold_lists_or_separated_labels() -> None:
    assert parse_cell('["b", "a"]', None) == ("b", "a")
    assert parse_cell("b; a ;", ";") == ("b", "a")
    assert parse_cell("[]", ",") == () and parse_cell("  ", ",") is None
    assert parse_cell("[not json", ",") == ("[not json",)
    assert labels_of(joined(["ü", "a", "ü"])) == ("a", "ü")
    assert joined({"b", "a"}) == joined(["a", "b", "a"]) == '["a", "b"]'


def test_what_looks_like_lists_is_seen_and_ordinary_labels_are_not() -> None:
    assert holds_lists(['["a"]', "[]", '["a", "b"]', ""])
    assert not holds_lists(["a", "[b]", "c"])
    assert separator_of(["red, blue", "blue", "red, green", "green, blue"] * 5) == ","
    assert separator_of(["red|blue", "blue", "red|green"] * 5) == "|"
    assert separator_of(["New York, USA", "Bonn, Germany", "Lyon, France"]) is None
    assert separator_of(["cat", "dog"] * 10) is None


def test_separated_labels_are_told_where_nobody_said_so() -> None:
    cells = ["red, blue", "blue", "red, green", "green, blue"] * 10
    rows = [Row(str(i), {"text": f"t {i}", "label": cell}) for i, cell in enumerate(cells)]
    found = infer(RawTable(rows, Path(), "table", ("text", "label")))
    assert found.target_kind == "class" and "then say --label-separator ','" in found.sentence


def test_labels_that_occur_once_are_left_out_and_empty_lists_stay() -> None:
    found = dataset(["a;b", "b", "a", "[]", "a;c", "", "b"], ";")
    assert found.classes == ("a", "b") and found.several
    assert [labels_of(e.target) for e in found.examples] == [("a", "b"), ("b",), ("a",), (), ("a",), ("b",)]
    assert [r.reason for r in found.rejected] == ["target missing"]
    assert "1 labels that occur once are left out (such as 'c')" in found.notes
    with pytest.raises(DataError, match="holds 1 labels that occur twice"):
        dataset(["a", "a", "b", "c;d"], ";")


def test_unknown_labels_of_a_trained_model_are_quarantined() -> None:
    rows = [Row(str(i), {"text": f"t {i}", "label": cell}) for i, cell in enumerate(["a;b", "a;z", "b"])]
    table = RawTable(rows, Path(), "table", ("text", "label"))
    found = check(table, infer(table, separator=";"), "t", Path(), Silent(), known_classes=("a", "b"))
    assert len(found.examples) == 2 and found.rejected[0].detail == "'z' is not among the model's labels"


def test_folds_hold_rare_labels_in_proportion() -> None:
    rng = np.random.default_rng(0)
    cells = [";".join(n for n, p in (("often", 0.6), ("some", 0.3), ("rare", 0.03)) if rng.random() < p) or "[]"
             for _ in range(900)]  # fmt: skip
    found = dataset(cells, ";")
    has = members(found.examples, found.classes)
    assert (label_indices(found) == rarest(has)).all()
    split = make_split(found, 0, 0.2, True)
    counts = np.array([has[split.folds == fold].sum(0) for fold in range(5)])  # (folds, labels)
    rare = counts[:, list(found.classes).index("rare")]
    assert rare.max() - rare.min() <= 1
    assert (counts.max(0) - counts.min(0) <= 0.2 * counts.mean(0) + 1).all()
