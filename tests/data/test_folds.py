import numpy as np
import pytest

from headstart.data.folds import grouped_folds
from headstart.errors import DataError


def test_groups_stay_together_and_classes_are_balanced():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [90, 45, 15])
    groups = np.array([f"{label}-{rng.integers(12)}" for label in labels])
    folds = grouped_folds(labels, groups, 3, seed=1)
    for name in np.unique(groups):
        assert len(np.unique(folds[groups == name])) == 1
    counts = np.array([[((labels == c) & (folds == f)).sum() for f in range(3)] for c in range(3)])
    np.testing.assert_allclose(counts / counts.sum(1, keepdims=True), 1 / 3, atol=0.12)


def test_single_rows_are_stratified_exactly():
    labels = np.repeat([0, 1, 2], [30, 7, 1])
    folds = grouped_folds(labels, np.arange(38), 3, seed=0)
    assert np.bincount(folds[labels == 0]).tolist() == [10, 10, 10]
    assert sorted(np.bincount(folds[labels == 1])) == [2, 2, 3]
    assert sorted(np.bincount(folds)) == [12, 13, 13]


def test_row_order_does_not_matter_but_the_seed_does():
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(4, size=100), rng.integers(40, size=100).astype(str)
    order = rng.permutation(100)
    folds = grouped_folds(labels, groups, 5, seed=3)
    np.testing.assert_array_equal(grouped_folds(labels[order], groups[order], 5, seed=3), folds[order])
    assert (grouped_folds(labels, groups, 5, seed=4) != folds).any()


def test_few_groups():
    folds = grouped_folds(np.array([0, 1, 0, 1]), ["a", "a", "b", "b"], 5, seed=0)
    assert sorted(set(folds.tolist())) == [0, 1]
    with pytest.raises(DataError, match="one group"):
        grouped_folds(np.array([0, 1]), ["a", "a"], 3, seed=0)


def test_mixed_groups_fill_every_fold():
    rng = np.random.default_rng(2)
    labels, groups = rng.integers(3, size=60), np.repeat(np.arange(6), 10)
    assert np.bincount(grouped_folds(labels, groups, 3, seed=0)).tolist() == [20, 20, 20]


def test_lone_rows_are_placed_by_the_rule_for_groups():
    rng = np.random.default_rng(0)
    labels, names = rng.integers(5, size=200), np.arange(200)
    for n_folds in (2, 3, 7):
        alone = grouped_folds(labels, names, n_folds, seed=3)
        pairs = grouped_folds(np.repeat(labels, 2), np.repeat(names, 2), n_folds, seed=3)
        assert alone.tolist() == pairs[::2].tolist() == pairs[1::2].tolist()
        # after larger groups as well, which have filled some folds more than others
        groups = np.where(names < 60, names // 4, names)
        whole = grouped_folds(labels, groups, n_folds, seed=3)
        twice = grouped_folds(np.repeat(labels, 2), np.repeat(groups, 2), n_folds, seed=3)
        assert whole.tolist() == twice[::2].tolist()
