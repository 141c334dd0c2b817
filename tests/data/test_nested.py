"""Nested subsets: each lies in the next, whole groups, classes in proportion, every class from the start."""

from __future__ import annotations

import itertools

import numpy as np

from headstart.data.nested import nested_sizes, nested_subsets


def test_sizes_grow_in_even_ratios_between_both_ends() -> None:
    assert nested_sizes(10, 320, 6) == [10, 20, 40, 80, 160, 320]
    assert nested_sizes(3, 5, 6) == [3, 4, 5]
    assert nested_sizes(9, 9) == [9]


def test_each_subset_lies_in_the_next_and_keeps_the_classes_shares() -> None:
    labels = np.repeat([0, 1, 2], [500, 300, 8])
    subsets = nested_subsets(labels, np.arange(808), [20, 100, 404, 808], np.random.default_rng(0))
    assert [len(s) for s in subsets] == [20, 100, 404, 808]
    for small, large in itertools.pairwise(subsets):
        assert set(small) < set(large)
    assert set(labels[subsets[0]]) == {0, 1, 2}  # the rare class from the start
    share = (labels[subsets[2]] == 0).mean()
    assert abs(share - 500 / 808) < 0.01


def test_groups_stay_whole_and_other_seeds_draw_other_rows() -> None:
    groups = np.arange(200) // 4
    labels = groups % 2
    subsets = [nested_subsets(labels, groups, [30, 90], np.random.default_rng(seed)) for seed in (0, 1)]
    for part in subsets[0]:
        assert all(count == 4 for count in np.unique(groups[part], return_counts=True)[1])
    assert [len(part) for part in subsets[0]] == [28, 88]  # up to the last group that fits
    assert set(subsets[0][0]) != set(subsets[1][0])
