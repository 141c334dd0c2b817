"""Measures of several labels, against scikit-learn and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from headstart.metrics.multi_label import (
    average_precision,
    label_f1,
    macro_average_precision,
    macro_f1,
    micro_f1,
    per_label,
    row_f1,
    row_log_loss,
    thresholds,
)

RNG = np.random.default_rng(0)
HAS = RNG.random((200, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]
CHANCES = np.clip(0.3 * HAS + 0.6 * RNG.random((200, 5)), 0.01, 0.99).round(2)  # with equal scores
CHOSEN = CHANCES >= 0.5


def test_as_scikit_learn_has_them() -> None:
    assert micro_f1(CHOSEN, HAS) == pytest.approx(f1_score(HAS, CHOSEN, average="micro"))
    assert macro_f1(CHOSEN, HAS) == pytest.approx(f1_score(HAS, CHOSEN, average="macro"))
    assert label_f1(CHOSEN, HAS) == pytest.approx(f1_score(HAS, CHOSEN, average=None))
    for c in range(5):
        assert average_precision(CHANCES[:, c], HAS[:, c]) == pytest.approx(
            average_precision_score(HAS[:, c], CHANCES[:, c])
        )
    assert macro_average_precision(CHANCES, HAS) == pytest.approx(average_precision_score(HAS, CHANCES))


def test_a_row_of_no_labels_is_right_only_where_none_is_chosen() -> None:
    has = np.array([[False, False], [False, False], [True, True]])
    chosen = np.array([[False, False], [True, False], [True, False]])
    assert row_f1(chosen, has).tolist() == [1.0, 0.0, pytest.approx(2 / 3)]


def test_the_loss_is_the_mean_over_labels() -> None:
    found = row_log_loss(np.array([[0.8, 0.5]]), np.array([[True, False]]))
    assert found == pytest.approx([(-np.log(0.8) - np.log(0.5)) / 2])


def test_labels_that_do_not_occur_count_nowhere() -> None:
    has = np.array([[True, False], [False, False]])
    assert np.isnan(average_precision(np.array([0.1, 0.2]), has[:, 1]))
    assert macro_average_precision(np.array([[0.9, 0.1], [0.2, 0.3]]), has) == 1.0
    assert macro_f1(has, has) == 1.0


def test_thresholds_go_where_f1_is_highest_the_more_so_the_more_examples() -> None:
    count = 1000
    has = np.zeros((2 * count, 2), dtype=bool)
    has[:count, 0] = has[:5, 1] = True
    chances = np.where(has, 0.3, 0.1)  # both labels are told perfectly, far below 0.5
    found = thresholds(chances, has)
    assert found[0] == pytest.approx(0.3, abs=0.05)
    assert found[1] == pytest.approx((5 * 0.3 + 10 * 0.5) / 15, abs=0.03)
    assert thresholds(chances, np.zeros_like(has)).tolist() == [0.5, 0.5]


def test_the_table_by_label() -> None:
    has = np.array([[True, False], [True, False], [False, False]])
    chosen = np.array([[True, True], [False, False], [True, False]])
    first, second = per_label(chosen, has, ["a", "b"])
    assert first == {"label": "a", "n": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert second == {"label": "b", "n": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
