"""Linear CKA: 1 for rotations and scales, 0 for what does not vary, the same from rows and from columns."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.errors import DataError
from headstart.metrics.similarity import linear_cka


def test_a_rotation_a_scale_and_a_shift_change_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert linear_cka(x, 3 * x @ turn + 5) == pytest.approx(1.0)


def test_a_case_worked_by_hand() -> None:
    x, y = np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    # x'y = (2, 2): squares 8; |x'x| = 4; y'y = 2 I, norm sqrt(8)
    assert linear_cka(x, y) == pytest.approx(8 / (4 * 8**0.5))


def test_unrelated_features_agree_little_and_constant_ones_not_at_all() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2000, 5)), rng.normal(size=(2000, 5))
    assert linear_cka(x, y) < 0.02
    assert linear_cka(x, np.ones((2000, 3))) == 0.0


def test_wide_features_take_the_other_way_to_the_same_number() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 60)), rng.normal(size=(40, 70))
    x0, y0 = x - x.mean(0), y - y.mean(0)
    expected = np.square(x0.T @ y0).sum() / (np.linalg.norm(x0.T @ x0) * np.linalg.norm(y0.T @ y0))
    assert linear_cka(x, y) == pytest.approx(expected)


def test_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="received 3 and 2"):
        linear_cka(np.zeros((3, 2)), np.zeros((2, 2)))
