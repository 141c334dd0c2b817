"""Power laws through measured errors: known curves are found again, and nobody is told what cannot be known."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.errors import DataError
from headstart.metrics.learning_curve import MeasuredErrors, fit_power_law, gain_of_more

SIZES = np.array([16, 40, 100, 250, 600, 1300])


def law(n: np.ndarray | float) -> np.ndarray:
    return np.asarray(0.1 + 0.8 * (np.asarray(n) + 16.0) ** -0.4)


def binomial(rng: np.random.Generator, errors: np.ndarray, seeds: int = 5, rows: int = 400) -> MeasuredErrors:
    """Rows of their own group, each wrong with the probability of its size."""
    drawn = (rng.random((seeds, len(errors), rows)) < errors[None, :, None]).astype(float)
    return MeasuredErrors(SIZES, drawn, np.ones((seeds, rows)))


def test_a_power_law_on_the_grid_is_found_again() -> None:
    found = fit_power_law(SIZES, law(SIZES))
    assert [float(v[0]) for v in (found.floor, found.scale, found.power)] == pytest.approx([0.1, 0.8, 0.4])
    assert float(found.error(5000)[0]) == pytest.approx(float(law(5000)))
    assert float(found.size_for(float(law(5000)))[0]) == pytest.approx(5000)
    assert np.isinf(found.size_for(0.09)[0])  # below the floor


def test_errors_that_do_not_fall_give_a_flat_curve() -> None:
    for errors in (np.full(6, 0.3), np.linspace(0.2, 0.3, 6)):
        found = fit_power_law(SIZES, errors)
        assert float(found.error(16)[0]) == pytest.approx(float(found.error(5000)[0]))
        assert float(found.error(100)[0]) == pytest.approx(errors.mean())


def test_several_rows_are_fitted_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    errors = law(SIZES) + 0.02 * rng.normal(size=(7, 6))
    together = fit_power_law(SIZES, errors).error(2000)
    assert together == pytest.approx([float(fit_power_law(SIZES, row).error(2000)[0]) for row in errors])


def test_means_and_draws_weigh_groups_by_their_rows() -> None:
    # two groups: one of three rows, all wrong; one of one row, right
    measured = MeasuredErrors(SIZES, np.tile([3.0, 0.0], (2, 6, 1)), np.tile([3.0, 1.0], (2, 1)))
    assert measured.mean() == pytest.approx(np.full(6, 0.75))
    draws = measured.draws(np.random.default_rng(0), 2000)[:, 0]
    # both groups once 0.75, the first twice 1, the second twice 0
    assert set(np.round(np.unique(draws), 6)) == {0.0, 0.75, 1.0}
    assert np.mean(draws == 0.75) == pytest.approx(0.5, abs=0.05)


def test_the_interval_of_a_gain_holds_the_true_one() -> None:
    rng = np.random.default_rng(1)
    truth = float(law(1300) - law(1800))
    held = 0
    for _ in range(60):
        measured = binomial(rng, law(SIZES))
        found = gain_of_more(measured, measured.draws(rng, 200), 1300, 500)
        held += found.low <= truth <= found.high
    assert held >= 52  # 57 expected of 60; fewer than 52 in 1 of 100 trials at 95%


def test_nothing_is_promised_beyond_four_times_the_largest_size() -> None:
    measured = binomial(np.random.default_rng(2), law(SIZES))
    draws = measured.draws(np.random.default_rng(3), 20)
    with pytest.raises(DataError, match="more than 4 times the 1300"):
        gain_of_more(measured, draws, 1300, 4000)


def test_too_few_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="needs 5 sizes, received 3"):
        fit_power_law([10, 20, 40], [0.3, 0.2, 0.1])
