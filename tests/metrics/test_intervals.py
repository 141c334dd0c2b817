from math import comb

import numpy as np
import pytest
from scipy import stats

from headstart.errors import DataError, SettingError
from headstart.metrics.intervals import interval, interval_of, mcnemar_exact, paired_difference


def test_matches_the_normal_interval_for_many_rows():
    rng = np.random.default_rng(0)
    loss = rng.exponential(size=2000)
    found = interval(loss, None, np.arange(2000), rng)
    half = 1.96 * loss.std() / np.sqrt(2000)
    assert found.value == pytest.approx(loss.mean())
    assert (found.low, found.high) == pytest.approx((loss.mean() - half, loss.mean() + half), abs=0.15 * half)
    assert found.n == 2000


def test_groups_are_resampled_whole():
    rng = np.random.default_rng(0)
    correct = rng.random(200) < 0.7
    single = interval(correct, None, np.arange(200), rng)
    copied = interval(np.repeat(correct, 9), None, np.repeat(np.arange(200), 9), rng)
    assert copied.n == 200
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.15)


def test_word_error_rate_is_a_ratio_of_sums():
    found = interval(np.array([1, 0, 3]), np.array([10, 5, 5]), np.array(["a", "b", "c"]), np.random.default_rng(0))
    assert found.value == pytest.approx(4 / 20)
    assert found.low == 0.0
    assert found.high == pytest.approx(3 / 5)


@pytest.mark.parametrize(("n", "p", "low"), [(12, 0.7, 0.88), (40, 0.8, 0.90), (200, 0.9, 0.92)])
def test_coverage_of_accuracy(n, p, low):
    rng = np.random.default_rng(n)
    hits = 0
    for _ in range(400):
        found = interval(rng.random(n) < p, None, np.arange(n), rng, resamples=500)
        hits += found.low <= p <= found.high
    assert low <= hits / 400 <= 0.99


def test_coverage_with_groups_where_rows_alone_would_fail():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(30), 20)
    grouped = alone = 0
    for _ in range(300):
        loss = 1.0 + rng.normal(size=30)[groups] + rng.normal(size=600)
        found = interval(loss, None, groups, rng, resamples=400)
        grouped += found.low <= 1.0 <= found.high
        found = interval(loss, None, np.arange(600), rng, resamples=400)
        alone += found.low <= 1.0 <= found.high
    assert 0.90 <= grouped / 300 <= 0.985
    assert alone / 300 < 0.7


def test_coverage_of_the_paired_difference():
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(400):
        shared = rng.normal(size=60)
        a, b = shared + 0.3 * rng.normal(size=60) + 0.2, shared + 0.3 * rng.normal(size=60)
        found = paired_difference(a, b, None, np.arange(60), rng, resamples=500)
        hits += found.low <= 0.2 <= found.high
        assert found.value == pytest.approx(a.mean() - b.mean())
    assert 0.86 <= hits / 400 <= 0.94


def test_all_right_and_all_wrong_are_clopper_pearson():
    rng = np.random.default_rng(0)
    exact = stats.binomtest(20, 20).proportion_ci(0.95, method="exact")
    found = interval(np.ones(20), None, np.arange(20), rng)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, exact.low, exact.high))
    found = interval(np.zeros(20), None, np.arange(20), rng)
    assert (found.value, found.low, found.high) == pytest.approx((0.0, 1 - exact.high, 1 - exact.low))


def test_identical_systems_are_not_known_to_be_equal():
    correct = np.array([1, 0, 1, 1, 0, 1, 1, 1, 1, 1])
    found = paired_difference(correct, correct, None, np.arange(10), np.random.default_rng(0))
    bound = 1 - 0.05 ** (1 / 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -bound, bound))


def test_one_group_claims_nothing():
    rng = np.random.default_rng(0)
    found = interval(np.array([1.0, 0.0]), None, np.zeros(2), rng)
    assert found.low <= 0.025
    assert found.high >= 0.975
    found = interval(np.array([1.5, 2.0]), None, np.zeros(2), rng)
    assert (found.low, found.high, found.n) == (-np.inf, np.inf, 1)


def test_general_statistic_agrees_with_the_fast_one():
    rng = np.random.default_rng(3)
    loss, groups = rng.exponential(size=300), np.repeat(np.arange(100), 3)
    fast = interval(loss, None, groups, rng)
    slow = interval_of(lambda rows: float(loss[rows].mean()), 300, groups, rng, resamples=500)
    assert slow.value == pytest.approx(fast.value)
    width = fast.high - fast.low
    assert (slow.low, slow.high) == pytest.approx((fast.low, fast.high), abs=0.15 * width)
    with pytest.raises(SettingError):
        interval_of(lambda rows: 0.0, 300, groups, rng, resamples=2000)


def test_mcnemar_worked_by_hand():
    a = np.array([1] * 9 + [0] * 2 + [1] * 30, dtype=bool)
    b = np.array([0] * 9 + [1] * 2 + [1] * 30, dtype=bool)
    assert mcnemar_exact(a, b) == pytest.approx(2 * sum(comb(11, k) for k in range(3)) / 2**11)
    assert mcnemar_exact(a, a) == 1.0


def test_empty_input_is_refused():
    with pytest.raises(DataError):
        interval(np.array([]), None, np.array([]), np.random.default_rng(0))
