"""Areas under the ROC curve against scikit-learn, and their intervals against cases worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from headstart.findings.separability import auc_interval, confused_pairs


def test_the_area_is_scikit_learn_s_with_ties():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(5, size=80).astype(float), rng.random(80) < 0.4
    assert auc_interval(scores, positive, np.arange(80))[0] == pytest.approx(roc_auc_score(positive, scores))


def test_the_interval_of_two_and_two_rows_by_hand():
    """Positives 3, 1 and negatives 2, 0: area 3/4; influences 1/8, -1/8, -1/8, 1/8; variance 4/64 * 4/3 + 1/128."""
    value, low, _ = auc_interval(np.array([3.0, 1, 2, 0]), np.array([True, True, False, False]), np.arange(4))
    assert value == 0.75
    assert low == pytest.approx(0.75 - 1.959964 * np.sqrt(4 / 64 * 4 / 3 + 1 / 128))


def test_the_interval_covers_the_truth_and_grows_with_copies_of_rows():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        positive = np.arange(60) % 2 == 0
        scores = rng.normal(size=60) + positive
        _, low, high = auc_interval(scores, positive, np.arange(60))
        inside += low <= 0.76025 <= high  # Phi(1 / sqrt 2)
    assert 0.91 <= inside / 300 <= 0.99
    once = auc_interval(scores, positive, np.arange(60))
    twice = auc_interval(np.tile(scores, 2), np.tile(positive, 2), np.tile(np.arange(60), 2))
    assert twice[2] - twice[1] == pytest.approx(once[2] - once[1], rel=0.05)


def test_pairs_taken_for_each_other_come_by_share():
    labels = np.array([0, 0, 1, 1, 2, 2, 2, 2])
    said = np.array([1, 0, 1, 1, 2, 2, 2, 0])
    assert confused_pairs(np.eye(3)[said], labels, 5) == [(0, 1), (0, 2)]
