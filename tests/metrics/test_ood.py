"""Distances equal textbook ones, held-out rows are flagged as seldom as said, and strangers are found."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from headstart.errors import DataError
from headstart.metrics.ood import OodDetector, fit_feature_distance, fit_ood_detector, ledoit_wolf, unit_rows


def made(rng, n, width=12, shift=0.0):
    """Two classes with more spread along some axes; shift: along one that the classes do not use."""
    labels = rng.integers(2, size=n)
    features = np.linspace(0.1, 0.6, width) * rng.normal(size=(n, width))
    features[:, 0] += np.where(labels == 0, 3.0, -3.0)
    features[:, 1] += 1.0 + shift
    return features * rng.uniform(0.5, 2.0, size=(n, 1)), labels


def test_shrinkage_equals_scikit_learn_s():
    from sklearn.covariance import ledoit_wolf_shrinkage

    rng = np.random.default_rng(0)
    for n, width in ((30, 50), (200, 10), (5, 3)):
        rows = rng.normal(size=(n, width)) * np.linspace(0.2, 2, width)
        rows -= rows.mean(0)
        expected = ledoit_wolf_shrinkage(rows, assume_centered=True)
        assert ledoit_wolf(rows, rows.T @ rows / n) == pytest.approx(expected, rel=1e-9)
        assert ledoit_wolf(rows, rows @ rows.T / n) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "width"), [(80, 12), (30, 50)])
def test_distance_equals_mahalanobis_to_the_nearest_mean(n, width):
    rng = np.random.default_rng(1)
    features, labels = made(rng, n, width)
    fitted = fit_feature_distance(features, labels)
    rows = unit_rows(features)
    means = [rows[labels == c].mean(0) for c in (0, 1)]
    away = rows - np.stack(means)[labels]
    covariance = away.T @ away / len(rows)
    shrunk = ledoit_wolf(away, covariance)
    inverse = np.linalg.inv((1 - shrunk) * covariance + shrunk * np.trace(covariance) / width * np.eye(width))
    expected = [min(mahalanobis(row, mean, inverse) ** 2 for mean in means) for row in rows]
    np.testing.assert_allclose(fitted.distances(features), expected, rtol=1e-6)


def test_directions_that_are_left_out_share_their_mean_variance():
    """By hand: with none kept, squared length over the mean variance."""
    rng = np.random.default_rng(2)
    features, labels = made(rng, 60, width=4)
    fitted = fit_feature_distance(features, labels, directions=1)
    variances = np.linalg.eigvalsh(np.cov((unit_rows(features) - fitted.means[labels]).T, bias=True))
    assert fitted.variances.shape == (1,)
    total = fitted.variances[0] + 3 * fitted.rest_variance
    assert total == pytest.approx(variances.sum(), rel=1e-6)  # shrinking keeps the trace


@pytest.mark.parametrize(("width", "shift"), [(12, 6.0), (400, 20.0)])
def test_seldom_flagged_at_home_and_often_abroad(width, shift):
    rng = np.random.default_rng(3)
    features, labels = made(rng, 300, width)
    detector = fit_ood_detector(features, labels, np.arange(300), np.arange(300) % 5)
    home, _ = made(rng, 2000, width)
    abroad, _ = made(rng, 200, width, shift)
    assert detector.level == 0.01
    assert detector.flagged(detector.p_values(home)).mean() <= 0.02
    assert detector.flagged(detector.p_values(abroad)).mean() >= 0.9
    assert detector.p_values(home).mean() == pytest.approx(0.5, abs=0.1)


def test_few_groups_flag_at_the_level_they_support():
    rng = np.random.default_rng(4)
    features, labels = made(rng, 38)
    groups = np.arange(38) // 2
    detector = fit_ood_detector(features, labels, groups, groups % 3)
    assert detector.level == pytest.approx(1 / 20)
    abroad, _ = made(rng, 50, shift=20.0)
    assert detector.flagged(detector.p_values(abroad)).all()


def test_arrays_bring_it_back():
    rng = np.random.default_rng(5)
    features, labels = made(rng, 50)
    detector = fit_ood_detector(features, labels, np.arange(50), np.arange(50) % 2)
    again = OodDetector.from_arrays(detector.arrays())
    np.testing.assert_allclose(again.p_values(features), detector.p_values(features), atol=0.05)
    assert again.level == detector.level


def test_degenerate_features_give_finite_distances():
    labels = np.array([0, 0, 1, 1])
    detector = fit_ood_detector(np.zeros((4, 3)), labels, np.arange(4), np.array([0, 1, 0, 1]))
    assert np.isfinite(detector.p_values(np.ones((1, 3)))).all()
    with pytest.raises(DataError, match="two folds"):
        fit_ood_detector(np.ones((4, 3)), labels, np.arange(4), np.zeros(4, dtype=int))
