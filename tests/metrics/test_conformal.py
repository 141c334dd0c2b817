"""Sets hold the true class as often as promised, in single rows and in groups, and refuse what cannot be promised."""

import numpy as np
import pytest

from headstart.errors import DataError, SettingError
from headstart.metrics.conformal import (
    CalibrationScores,
    check_alpha,
    prediction_sets,
    promise,
    true_class_scores,
)

SINGLE = np.arange(9)


def nine():
    return CalibrationScores.of(np.array([9, 1, 8, 2, 7, 3, 6, 4, 5]) / 10, SINGLE)


@pytest.mark.parametrize(("alpha", "rank"), [(0.1, 9), (0.2, 8), (0.25, 8), (0.5, 5), (0.9, 1), (0.99, 1)])
def test_the_threshold_is_the_score_of_that_rank(alpha, rank):
    """By hand: ceil(10 (1 - alpha)) of 0.1 .. 0.9."""
    assert nine().threshold(alpha) == rank / 10


def test_less_than_one_in_n_plus_one_is_refused():
    scores = nine()
    assert scores.smallest_alpha == pytest.approx(0.1)
    with pytest.raises(SettingError, match=r"abstain is 0\.05, but 9 independent groups of rows support 0\.1 and more"):
        scores.threshold(0.05)
    # what the message names is accepted, even where 1 / (n + 1) has no end in decimals
    six = CalibrationScores.of(np.arange(6.0), np.arange(6))
    with pytest.raises(SettingError, match=r"support 0\.1429 and more, 1 in 7"):
        six.threshold(0.1428)
    assert six.threshold(0.1429) == 5.0


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_what_is_no_share_is_refused(alpha):
    with pytest.raises(SettingError, match="above 0 and below 1"):
        check_alpha(alpha)
    with pytest.raises(SettingError, match="above 0 and below 1"):
        nine().threshold(alpha)


def test_a_group_counts_as_one_row():
    """By hand: three groups; shares 1/2 1/2 | 1 | 1/2 1/2 at scores 1 3 | 2 | 4 5."""
    scores = CalibrationScores.of(np.array([5, 2, 1, 3, 4.0]), np.array([7, 3, 9, 9, 7]))
    assert scores.groups == 3
    np.testing.assert_array_equal(scores.scores, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(scores.shares, [0.5, 1, 0.5, 0.5, 0.5])
    # 4 (1 - alpha) of the cumulated shares 0.5 1.5 2 2.5 3
    assert scores.threshold(0.25) == 5
    assert scores.threshold(0.5) == 3
    assert scores.threshold(0.4) == 4
    with pytest.raises(SettingError, match="3 independent groups"):
        scores.threshold(0.2)


def test_p_values_by_hand_and_in_step_with_the_threshold():
    scores = nine()
    np.testing.assert_allclose(scores.p_values(np.array([0.0, 0.1, 0.55, 0.9, 0.95])), [1.0, 1.0, 0.5, 0.2, 0.1])
    grouped = CalibrationScores.of(np.array([5, 2, 1, 3, 4.0]), np.array([7, 3, 9, 9, 7]))
    np.testing.assert_allclose(grouped.p_values(np.array([1.5, 5.0, 6.0])), [3.5 / 4, 1.5 / 4, 1 / 4])
    rng = np.random.default_rng(0)
    for _ in range(50):
        made = CalibrationScores.of(rng.integers(20, size=40) / 20, rng.integers(25, size=40))
        new, alpha = rng.integers(-1, 22, size=30) / 20, rng.uniform(made.smallest_alpha, 1)
        np.testing.assert_array_equal(new <= made.threshold(alpha), made.p_values(new) > alpha)


def test_sets_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(true_class_scores(probabilities, np.array([0, 2, 1])), [0.3, 0.75, 0.5])
    np.testing.assert_array_equal(
        prediction_sets(probabilities, 0.65), [[True, False, False], [True, True, False], [True, True, False]]
    )
    # never empty: the most probable class stays
    np.testing.assert_array_equal(prediction_sets(probabilities, 0.1).sum(1), [1, 1, 1])


@pytest.mark.parametrize(("scores", "groups"), [
    (np.array([]), np.array([])), (np.ones(3), np.ones(2)), (np.array([1, np.nan]), np.arange(2)),
])  # fmt: skip
def test_scores_that_say_nothing_are_refused(scores, groups):
    with pytest.raises(DataError):
        CalibrationScores.of(scores, groups)


def made_rows(rng, n, groups=None):
    """Probabilities of three classes from a network that is too sure of itself, and labels; rows of a group are alike.

    Some groups are much harder than others, and these are the large ones: rows of a group taken for independent ones
    would give a threshold for the wrong mixture.
    """
    hard = np.ones(n) if groups is None else 0.2 + 3.0 * (groups % 3 == 0)
    labels = rng.integers(3, size=n)
    logits = 1.5 * np.eye(3)[labels] + hard[:, None] * rng.normal(size=(n, 3))
    powers = np.exp(3 * logits)
    return powers / powers.sum(1, keepdims=True), labels


def coverage(rng, resamples, alpha, draw):
    """Share of resamples in which one new row's set holds its class, and the standard error of that share."""
    hits = 0
    for _ in range(resamples):
        (probabilities, labels), groups, (new, truth) = draw(rng)
        scores = CalibrationScores.of(true_class_scores(probabilities, labels), groups)
        hits += bool(prediction_sets(new, scores.threshold(alpha))[0, truth[0]])
    share = hits / resamples
    return share, np.sqrt(alpha * (1 - alpha) / resamples)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_promise_holds_for_single_rows(alpha):
    def draw(rng):
        return made_rows(rng, 79), np.arange(79), made_rows(rng, 1)

    share, error = coverage(np.random.default_rng(1), 4000, alpha, draw)
    # 80 (1 - alpha) is whole, so that coverage is exactly 1 - alpha, but for sets that the top class saves
    assert 1 - alpha - 3 * error <= share <= 1 - alpha + 3 * error + 0.01


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_promise_holds_for_a_row_of_a_new_group(alpha):
    """Every third group is hard, and holds one row while the others hold eight."""

    def rows_of(rng, names):
        groups = np.repeat(names, np.where(names % 3 == 0, 1, 8))
        return made_rows(rng, len(groups), groups), groups

    def draw(rng):
        names = rng.integers(3000, size=39) * 60 + np.arange(39)  # none twice
        made, groups = rows_of(rng, names)
        one = rng.integers(3000, size=1)
        return made, groups, made_rows(rng, 1, one)

    share, error = coverage(np.random.default_rng(2), 4000, alpha, draw)
    assert share >= 1 - alpha - 3 * error


def test_rows_of_a_group_taken_for_single_ones_break_the_promise():
    """What the shares are for: the same rows without them cover a new group too seldom."""

    def draw(rng):
        names = rng.integers(3000, size=39) * 60 + np.arange(39)
        groups = np.repeat(names, np.where(names % 3 == 0, 1, 8))
        return (
            made_rows(rng, len(groups), groups),
            np.arange(len(groups)),
            made_rows(rng, 1, rng.integers(3000, size=1)),
        )

    share, error = coverage(np.random.default_rng(2), 2000, 0.05, draw)
    assert share < 0.95 - 5 * error


def test_the_promise_says_what_it_is():
    told = promise(0.05)
    assert "at most 5%" in told
    assert "not for each class" in told
