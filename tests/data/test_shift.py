"""Folds along a column: each value is held out whole, groups stay whole, and what cannot be held out is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headstart.data.shift import split_by_shift
from headstart.data.split import Split
from headstart.errors import DataError
from headstart.types import Dataset, Example


def dataset(sites: list[str], targets: list[str], groups: list[str] | None = None) -> tuple[Dataset, Split]:
    named = groups or [str(i) for i in range(len(sites))]
    examples = tuple(Example(str(i), "", t, g, str(i)) for i, (t, g) in enumerate(zip(targets, named)))
    made = Dataset("t", "image", Path(), examples, (), tuple(sorted(set(targets))), {}, "", side={"site": tuple(sites)})
    rows = np.arange(len(sites))
    return made, Split(rows, rows[:0], rows % 3, "cross-validation")


def test_each_value_is_a_fold_of_its_own() -> None:
    sites = ["north", "south", "east"] * 8
    data, split = dataset(sites, ["a", "b"] * 12)
    found = split_by_shift(data, split, "site")
    assert found.n_folds == 3
    for site in set(sites):
        assert len({int(f) for f, s in zip(found.folds, sites) if s == site}) == 1


def test_more_than_five_values_share_folds_of_like_size() -> None:
    sites = [f"s{i % 8}" for i in range(80)]
    data, split = dataset(sites, ["a", "b"] * 40)
    counts = np.bincount(split_by_shift(data, split, "site").folds)
    assert len(counts) == 5 and counts.max() == 20 and counts.min() == 10


def test_a_group_follows_most_of_its_rows() -> None:
    sites = ["x", "x", "y", "y", "x", "y", "x", "y"]
    data, split = dataset(sites, list("abbaabba"), ["g", "g", "g", "1", "2", "3", "4", "5"])
    folds = split_by_shift(data, split, "site").folds
    assert folds[0] == folds[1] == folds[2] != folds[3]


def test_what_cannot_be_held_out_is_said() -> None:
    data, split = dataset(["x"] * 4 + ["y"] * 4, ["a"] * 4 + ["b"] * 4)
    with pytest.raises(DataError, match="learn 'a' from are in one fold"):
        split_by_shift(data, split, "site")
    data, split = dataset(["x", "y"] * 4, ["a", "b"] * 4)
    with pytest.raises(DataError, match="Did you mean 'site'"):
        split_by_shift(data, split, "sites")
    same, split = dataset(["x"] * 8, ["a", "b"] * 4)
    with pytest.raises(DataError, match="All rows to learn from have site = 'x'"):
        split_by_shift(same, split, "site")
