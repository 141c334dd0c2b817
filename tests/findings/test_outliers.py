"""Distances against references; a row unlike all others is found, and normal rows are not."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from headstart.findings.neighbours import nearest, unit_rows
from headstart.findings.outliers import mahalanobis, outliers, shrunk_covariance, tail_limit


@pytest.mark.parametrize("shape", [(200, 20), (30, 60)])
def test_the_shrunk_covariance_is_ledoit_and_wolf_s(shape):
    rows = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    rows -= rows.mean(0)
    ours, shrinkage = shrunk_covariance(rows)
    theirs = LedoitWolf(assume_centered=True).fit(rows)
    np.testing.assert_allclose(ours, theirs.covariance_, rtol=1e-6, atol=1e-9)
    assert shrinkage == pytest.approx(theirs.shrinkage_, rel=1e-6)


def test_the_distance_leaves_the_row_out_of_the_covariance():
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(40, 5)), np.arange(40) % 2
    found = mahalanobis(features, labels)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    for code in (0, 1):
        rows[labels == code] -= rows[labels == code].mean(0)
    rows /= np.sqrt(1 - 1 / 20)
    covariance, shrinkage = shrunk_covariance(rows)
    without = covariance - (1 - shrinkage) * np.outer(rows[7], rows[7]) / 40
    assert found[7] == pytest.approx(np.sqrt(rows[7] @ np.linalg.inv(without) @ rows[7]))


def test_the_limit_is_that_of_an_exponential_tail():
    """Above its 90th percentile, ln 10, a unit exponential passes x with probability exp(-x)."""
    values = -np.log(1 - (np.arange(10_000) + 0.5) / 10_000)
    assert tail_limit(values, 0.5) == pytest.approx(np.log(10_000 / 0.5), rel=0.01)


def flagged(features, labels):
    _, similar = nearest(unit_rows(features), np.arange(len(labels)), 10)
    return outliers(mahalanobis(features, labels), 1 - similar[:, -1])[0]


def made(seed, n=300, width=64):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    spread = 1 / np.sqrt(1 + np.arange(width))
    return rng.normal(size=(n, width)) * spread + 3 * np.eye(width)[labels] + 2, labels, rng


def test_a_planted_row_is_found_and_no_other():
    features, labels, rng = made(0)
    features[5] = 2 + 3 * rng.normal(size=64)
    assert np.flatnonzero(flagged(features, labels)).tolist() == [5]


def test_normal_rows_raise_no_alarm():
    assert sum(flagged(*made(seed)[:2]).sum() for seed in range(6)) == 0
