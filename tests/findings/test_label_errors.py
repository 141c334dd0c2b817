"""Planted label errors are found; correct labels, easy or hard, raise no alarm."""

import numpy as np
import pytest

from headstart.findings.label_errors import label_errors
from headstart.findings.neighbours import nearest, unit_rows, vote


def made(rng, n, distance, n_classes=3, width=8):
    """Normal classes on the axes, with the true posterior as the head's out-of-fold probabilities."""
    labels = rng.integers(n_classes, size=n)
    features = rng.normal(size=(n, width))
    features[np.arange(n), labels] += distance
    logits = distance * features[:, :n_classes]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return features, powers / powers.sum(1, keepdims=True), labels


def found(features, probabilities, labels):
    neighbours, _ = nearest(unit_rows(features), np.arange(len(labels)), 10)
    return label_errors(probabilities, vote(neighbours, labels, probabilities.shape[1]), labels)


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_flipped_labels_are_listed_with_what_they_were(share):
    rng = np.random.default_rng(0)
    features, probabilities, labels = made(rng, 600, 6.0)
    wrong = rng.choice(600, int(share * 600), replace=False)
    given = labels.copy()
    given[wrong] = (labels[wrong] + rng.integers(1, 3, len(wrong))) % 3
    errors = found(features, probabilities, given)
    assert errors.flagged[wrong].mean() > 0.95
    assert errors.flagged[np.setdiff1d(np.arange(600), wrong)].mean() < 0.005
    assert (errors.suggested[wrong] == labels[wrong]).mean() > 0.95
    assert errors.noise_rate == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0, 6.0])
def test_correct_labels_raise_no_alarm_however_hard_the_classes(distance):
    alarms = [found(*made(np.random.default_rng(seed), 400, distance)).flagged.sum() for seed in range(8)]
    assert sum(alarms) == 0


def test_the_probability_is_bayes_rule_for_the_fitted_noise():
    """Two classes, pooled probability p of the given label and noise rate e: e(1-p) / ((1-e)p + e(1-p))."""
    rng = np.random.default_rng(3)
    features, probabilities, labels = made(rng, 400, 5.0, n_classes=2)
    labels[:20] = 1 - labels[:20]
    errors = found(features, probabilities, labels)
    p, e = np.exp(-errors.surprise), errors.noise_rate
    np.testing.assert_allclose(errors.wrong, e * (1 - p) / ((1 - e) * p + e * (1 - p)), rtol=1e-9)


def test_rows_of_the_same_group_do_not_vote():
    rows = unit_rows(np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [-1.0, 0.2]]))
    neighbours, similar = nearest(rows, np.array([0, 0, 1, 2]), 3)
    assert 1 not in neighbours[0] and 0 not in neighbours[1]
    assert neighbours[0, 2] == -1 and np.isneginf(similar[0, 2])
    np.testing.assert_allclose(similar[0, :2], np.sort(rows[2:] @ rows[0])[::-1], rtol=1e-6)


def test_a_vote_counts_labels_and_one_share_of_the_class_frequencies():
    votes = vote(np.array([[1, 2, -1]]), np.array([0, 1, 1, 1]), 2)
    np.testing.assert_allclose(votes, [[0.25 / 3, 2.75 / 3]])
