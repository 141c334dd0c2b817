"""Slope, offsets and temperature of several labels: the minimum of the loss, found by another way too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from headstart.metrics.sigmoid import sigmoid, sigmoid_temperature, slope_and_offsets

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(600, 3)) * 2 - [0.0, 1.5, 3.0]
HAS = RNG.random((600, 3)) < sigmoid(TRUTH)


def loss(logits: np.ndarray, target: np.ndarray) -> float:
    return float((np.logaddexp(0, logits) - target * logits).sum())


def test_no_logit_overflows() -> None:
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def test_slope_and_offsets_are_the_minimum_that_scipy_finds() -> None:
    values = 0.3 * TRUTH + [0.2, 0.4, 0.1]
    counts = HAS.sum(0)
    target = np.where(HAS, (counts + 1) / (counts + 2), 1 / (len(HAS) - counts + 2))  # Platt's
    expected = minimize(lambda w: loss(w[0] * values + w[1:], target), np.array([1.0, 0, 0, 0]), tol=1e-12).x
    slope, offsets = slope_and_offsets(values, HAS)
    assert [slope, *offsets] == pytest.approx(expected, rel=2e-3, abs=2e-3)
    kept, others = slope_and_offsets(values, HAS, slope)
    assert kept == pytest.approx(slope) and others == pytest.approx(offsets, abs=1e-3)


def test_a_label_that_is_told_perfectly_gets_no_endless_logits() -> None:
    has = np.zeros((100, 2), dtype=bool)
    has[:50, 0] = has[::2, 1] = True
    slope, offsets = slope_and_offsets(has.astype(float), has)
    chances = sigmoid(slope * has + offsets)
    assert chances[has].min() > 0.9 and chances.max() < 0.999


def test_the_temperature_undoes_a_factor() -> None:
    assert sigmoid_temperature(3.0 * TRUTH, HAS) == pytest.approx(3.0 * sigmoid_temperature(TRUTH, HAS), rel=0.01)
    assert sigmoid_temperature(TRUTH, HAS) == pytest.approx(1.0, abs=0.2)
    assert sigmoid_temperature(np.zeros((4, 2)), HAS[:4, :2]) == 1.0
