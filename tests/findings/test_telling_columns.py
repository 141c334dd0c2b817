"""A column that tells the label is found; columns of chance are not, however many."""

import numpy as np
import pytest

from headstart.findings.columns import associations


def test_tau_by_hand():
    """10 and 10 rows in two columns' values, 8 and 2 of each label: raw (2 * (64 + 4) / 10 - 10) / 10 = 0.36."""
    column, labels = np.repeat([0, 1], 10), np.array([0] * 8 + [1] * 2 + [1] * 8 + [0] * 2)
    found = associations([column], labels, np.random.default_rng(0))[0]
    assert found.tau == pytest.approx((0.36 - 1 / 19) / (1 - 1 / 19))
    assert (found.right, found.majority) == (0.8, 0.5)


def test_a_confounded_column_is_strong_among_many_of_chance():
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=300)
    camera = np.where(rng.random(300) < 0.9, labels, rng.integers(3, size=300))
    chance = [rng.integers(k, size=300) for k in (2, 5, 30)]
    found = associations([*chance, camera], labels, rng)
    assert [f.strong for f in found] == [False, False, False, True]
    assert found[3].p == 1 / 200


def test_columns_of_chance_raise_no_alarm():
    rng = np.random.default_rng(2)
    for _ in range(10):
        labels = (rng.random(60) < 0.2).astype(int)
        found = associations([rng.integers(k, size=60) for k in (2, 4, 8, 20)], labels, rng)
        assert not any(f.strong for f in found)
