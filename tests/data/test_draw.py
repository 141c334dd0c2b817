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
    assert len(set(GROUPS[parts[0]])) == 1 and parts[-1].all()


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


def test_rare_classes_have_their_share_and_no_more() -> None:
    """Fifty classes of two beside one of 1,900: of thirty rows to score, about 28 are of the large one."""
    labels = np.concatenate([np.zeros(1900, dtype=int), np.repeat(np.arange(1, 51), 2)])
    drawing = draw(labels, np.arange(2000), seed=0)
    for wanted in (30, 100, 600):
        assert np.mean(labels[drawing.part(wanted)] == 0) == pytest.approx(0.95, abs=0.04)


def test_two_of_every_class_can_be_learnt() -> None:
    labels = np.array([0] * 500 + [1] * 3 + [2])
    drawing = draw(labels, np.arange(504), seed=0)
    assert sorted(labels[drawing.learnable(0)]) == [0, 0, 1, 1, 2]
    assert np.bincount(labels[drawing.learnable(100)]).tolist() in ([99, 2, 1], [98, 2, 1], [100, 2, 1])


def test_large_groups_come_last_and_are_taken_where_there_is_nothing_else() -> None:
    labels, groups = np.zeros(1000, dtype=int), np.array([0] * 400 + list(range(1, 601)))
    for seed in range(6):
        assert draw(labels, groups, seed).part(300).sum() == 300
    patients = draw(np.arange(11_900) // 700 % 2, np.arange(11_900) // 700, seed=0)
    assert patients.part(600, groups=2).sum() == 1400
    assert patients.part(3, groups=1).sum() == 700
    assert not draw(labels[:0], groups[:0], 0).part(5).any()


def test_a_class_that_only_shares_groups_can_be_learnt() -> None:
    """Patients with both findings: every group counts for the rarer one."""
    labels = np.array([0, 1, 0] * 20 + [1] * 10)
    groups = np.array([n // 3 for n in range(60)] + list(range(20, 30)))
    drawing = draw(labels, groups, seed=0)
    part = drawing.learnable(0)
    assert {len(set(groups[part & (labels == label)])) for label in (0, 1)} <= {2, 3, 4}
    assert not set(groups[part]) & set(groups[~part])


def test_only_costly_rows_count_in_what_is_affordable() -> None:
    drawing = draw(LABELS, GROUPS, seed=1)
    known = drawing.part(300)
    assert drawing.affordable(~known, 0) == known.sum()
    more = drawing.affordable(~known, 50)
    assert known.sum() + 40 <= more <= known.sum() + 50 and drawing.part(more).sum() == more
    assert drawing.affordable(~known, 600) == 600
    everything = np.ones(600, dtype=bool)
    np.testing.assert_array_equal(drawing.learnable(drawing.affordable(everything, 0)), drawing.firsts)
    within = drawing.learnable(drawing.affordable(everything, 100)).sum()  # with the first groups of rare classes
    assert 85 <= within <= 100
