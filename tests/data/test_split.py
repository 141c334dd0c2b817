"""The data protocol: who is held out, and that nobody is on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headstart.data.split import Split, group_indices, label_indices, make_split
from headstart.errors import DataError
from headstart.types import Dataset, Example


def dataset(
    count: int, targets: str = "ab", group_size: int = 1, splits: list[str | None] | None = None,
    groups: list[str] | None = None,
) -> Dataset:  # fmt: skip
    examples = tuple(
        Example(f"row {i}", "", targets[i % len(targets)], groups[i] if groups else f"g{i // group_size}", f"d{i}",
                splits[i] if splits else None)
        for i in range(count)
    )  # fmt: skip
    classes = tuple(sorted({e.target for e in examples if e.target}))
    return Dataset("t", "text", Path(), examples, (), classes, {}, "")


def split(data: Dataset, seed: int = 0, test_size: float = 0.2, small: bool = True) -> Split:
    return make_split(data, seed, test_size, small)


def assert_groups_whole(data: Dataset, made: Split) -> None:
    groups = group_indices(data)
    assert not set(groups[made.dev]) & set(groups[made.test])
    for group in np.unique(groups[made.dev]):
        assert len(np.unique(made.folds[groups[made.dev] == group])) == 1


def test_a_thousand_rows_hold_out_a_fifth_and_fewer_are_cross_validated():
    many, few = split(dataset(1000)), split(dataset(999))
    assert (many.method, len(many.test), len(many.dev), many.n_folds) == ("holdout", 200, 800, 3)
    assert (few.method, len(few.test), len(few.dev), few.n_folds) == ("cross-validation", 0, 999, 5)


def test_tasks_too_slow_to_cross_validate_hold_out_at_any_size():
    made = split(dataset(50), small=False)
    assert (made.method, len(made.test)) == ("holdout", 10)


@pytest.mark.parametrize(("test_size", "held"), [(0.1, 200), (0.25, 500), (0.5, 1000)])
def test_test_size_is_the_share_held_out(test_size, held):
    assert len(split(dataset(2000), test_size=test_size).test) == held


def test_a_given_test_set_is_used_as_it_is():
    data = dataset(20, splits=["test" if i in (3, 4, 5) else "train" for i in range(20)])
    made = split(data)
    assert (made.method, made.test.tolist()) == ("given", [3, 4, 5])
    assert len(made.dev) == 17


@pytest.mark.parametrize("count", [300, 1500])
def test_groups_are_never_separated(count):
    data = dataset(count, "aabbab", group_size=7)
    made = split(data)
    assert_groups_whole(data, made)
    assert sorted([*made.dev, *made.test]) == list(range(count))


@pytest.mark.parametrize("count", [300, 1500])
def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows(count):
    data = dataset(count, "abc", group_size=2)
    order = np.random.default_rng(1).permutation(count)
    shuffled = Dataset("t", "text", Path(), tuple(data.examples[i] for i in order), (), data.classes, {}, "")

    def sides(data: Dataset, seed: int = 0) -> dict[str, int]:
        made = split(data, seed)
        found = {data.examples[r].id: int(f) for r, f in zip(made.dev, made.folds)}
        return found | {data.examples[r].id: -1 for r in made.test}

    assert sides(data) == sides(shuffled)
    assert sides(data) != sides(data, seed=1)


def test_every_class_is_in_the_training_rows_of_every_fold():
    data = dataset(40, "aaaaaaaab")
    made = split(data)
    labels = label_indices(data)[made.dev]
    for fold in range(made.n_folds):
        assert set(labels[made.folds != fold]) == {0, 1}


def test_a_class_only_in_the_test_rows_is_refused():
    data = dataset(12, "abc", splits=["test" if i % 3 == 2 else "train" for i in range(12)])
    with pytest.raises(DataError, match=r"No training row has the label 'c', which occurs in the test rows.*Add"):
        split(data)


@pytest.mark.parametrize("small", [True, False])
def test_a_class_in_a_single_group_cannot_be_learnt_and_tested(small):
    groups = [f"g{i}" if i % 2 else "same" for i in range(20)]
    with pytest.raises(DataError, match="All 10 rows with the label 'a' are in one group"):
        split(dataset(20, groups=groups), small=small)


@pytest.mark.parametrize("seed", range(20))
def test_a_holdout_leaves_every_class_something_to_learn_from(seed):
    # class c lives in two large groups, which a careless fold could swallow both
    data = dataset(60, "a" * 20 + "b" * 20 + "c" * 20, groups=[f"g{i}" if i < 40 else f"c{i % 2}" for i in range(60)])
    made = split(data, seed=seed, test_size=0.5, small=False)
    assert set(label_indices(data)[made.dev]) == {0, 1, 2}


def test_training_rows_of_a_single_group_are_refused():
    data = dataset(6, splits=["train"] * 4 + ["test"] * 2, groups=["g"] * 4 + ["h", "i"])
    with pytest.raises(DataError, match="4 rows to learn from form a single group"):
        split(data)


def test_texts_as_targets_need_no_classes():
    data = dataset(30)
    plain = Dataset("t", "audio", Path(), data.examples, (), (), {}, "")
    assert split(plain, small=False).method == "holdout"
    with pytest.raises(DataError, match="a single group"):
        split(Dataset("t", "audio", Path(), dataset(5, groups=["g"] * 5).examples, (), (), {}, ""))
