"""Parts of rows: whole groups, classes in their share, nested, and steady where a few rows change."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from headstart.data.draw import draw

RNG = np.random.default_rng(0)
LABELS = RNG.choice(3, size=600, p=[0.7, 0.25, 0.05])
GROUPS = np.array([f"g{number}" for number in RNG.integers(300, size=600)])


def test_groups_stay_whole_and_classes_keep_their_share() -> None:
    drawing = draw(LABELS, GROUPS, seed=1)
    part = drawing.part(200)
    assert 190 <= part.sum() <= 200
    assert not set(GROUPS[part]) & set(GROUPS[~part])
    singly = draw(LABELS, np.arange(600), seed=1).part(200)
    for label in range(3):
        share = np.mean(label == LABELS)
        assert np.mean(LABELS[singly] == label) == pytest.approx(share, abs=0.01)


def test_smaller_parts_lie_in_larger_ones_and_the_last_holds_all() -> None:
    drawing = draw(LABELS, GROUPS, seed=1)
    parts = [drawing.part(wanted) for wanted in range(0, 601, 20)]
    assert all((small <= large).all() for small, large in pairwise(parts))
    assert not parts[0].any() and parts[-1].all()


def test_the_order_of_the_rows_does_not_matter_but_the_seed_does() -> None:
    order = RNG.permutation(600)
    drawing = draw(LABELS, GROUPS, seed=1)
    np.testing.assert_array_equal(draw(LABELS[order], GROUPS[order], seed=1).ends, drawing.ends[order])
    assert (draw(LABELS, GROUPS, seed=2).part(200) != drawing.part(200)).any()


def test_a_part_is_nearly_the_same_without_a_few_rows() -> None:
    kept = np.ones(600, dtype=bool)
    kept[[3, 50, 400]] = False
    whole = draw(LABELS, np.arange(600), seed=1).part(200)[kept]
    fewer = draw(LABELS[kept], np.arange(600)[kept], seed=1).part(200)
    assert (whole != fewer).sum() <= 8


def test_every_class_is_in_the_least_part_twice_and_first() -> None:
    labels = np.array([0] * 500 + [1] * 3 + [2])
    drawing = draw(labels, np.arange(504), seed=0)
    assert drawing.least == 5
    assert sorted(labels[drawing.part(drawing.least)]) == [0, 0, 1, 1, 2]


def test_a_class_that_only_shares_groups_is_in_the_least_part() -> None:
    """Patients with both findings: every group counts for the rarer one."""
    labels = np.array([0, 1, 0] * 20 + [1] * 10)
    groups = np.array([n // 3 for n in range(60)] + list(range(20, 30)))
    drawing = draw(labels, groups, seed=0)
    part = drawing.part(drawing.least)
    assert {len(set(groups[part & (labels == label)])) for label in (0, 1)} <= {2, 3, 4}
    assert not set(groups[part]) & set(groups[~part])


def test_only_costly_rows_count_in_what_is_affordable() -> None:
    drawing = draw(LABELS, GROUPS, seed=1)
    known = drawing.part(300)
    assert drawing.affordable(~known, 0) == known.sum()
    more = drawing.affordable(~known, 50)
    assert known.sum() + 40 <= more <= known.sum() + 50 and drawing.part(more).sum() == more
    assert drawing.affordable(~known, 600) == 600
    assert drawing.affordable(np.ones(600, dtype=bool), 0) == 0
