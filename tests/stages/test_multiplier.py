"""The label multiplier: known curves give known factors, and nothing is said beyond four times the labels."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.metrics.learning_curve import MeasuredErrors
from headstart.stages.multiplier import multiplier_of

SIZES = np.array([60, 120, 240, 480, 960])


def errors_at(n: float) -> float:
    return 3.0 * n**-0.5


def measured(rows: int = 3000, seeds: int = 5) -> MeasuredErrors:
    """Each size is wrong on the first rows of all, in the share that the curve says."""
    wrong = np.array([[np.arange(rows) < errors_at(n) * rows for n in SIZES]] * seeds, dtype=float)
    return MeasuredErrors(SIZES, wrong, np.ones((seeds, rows)))


def transfer(error: float, rows: int = 3000) -> np.ndarray:
    return (np.arange(rows) < error * rows).astype(float)


def test_the_factor_is_where_the_curve_meets_transfer() -> None:
    found = multiplier_of(measured(), transfer(errors_at(1920)), 960, seed=0)
    assert found.times == pytest.approx(2.0, rel=0.05)
    assert found.low < found.times < found.high
    assert found.sentence().startswith("From random weights about 2.0 times the labels")
    same = multiplier_of(measured(), transfer(errors_at(960)), 960, seed=0)
    assert same.times == pytest.approx(1.0, rel=0.05)


def test_worse_transfer_is_worth_less_than_its_labels() -> None:
    assert multiplier_of(measured(), transfer(errors_at(240)), 960, seed=0).times == pytest.approx(0.25, rel=0.05)


def test_beyond_four_times_the_largest_size_only_a_bound_is_told() -> None:
    found = multiplier_of(measured(), transfer(errors_at(9600)), 960, seed=0)
    assert np.isinf(found.times)
    assert found.to_json()["times"] is None and found.to_json()["more_than"] == 4.0
    assert found.sentence() == "From random weights more than 4.0 times the labels would be needed."
