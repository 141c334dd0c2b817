import numpy as np
import pytest
from sklearn import metrics as reference

from headstart.errors import DataError
from headstart.metrics.classification import (
    class_metrics,
    confusion,
    per_class,
    reliability_bins,
    row_correct,
    row_log_loss,
)


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=200)  # class 4 never occurs
    probabilities = rng.dirichlet(np.ones(5), size=200)
    probabilities[np.arange(200), labels] += 0.4
    return probabilities / probabilities.sum(1, keepdims=True), labels


def test_equals_scikit_learn(predictions):
    probabilities, labels = predictions
    guess = probabilities.argmax(1)
    found = class_metrics(probabilities, labels)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, guess))
    assert found["log_loss"] == pytest.approx(reference.log_loss(labels, probabilities, labels=range(5)))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, guess, average="macro", zero_division=0))
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(UserWarning)
        assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(labels, guess))
    onehot = np.eye(5)[labels]
    assert found["brier"] == pytest.approx(((probabilities - onehot) ** 2).sum() / 200)
    np.testing.assert_array_equal(
        confusion(probabilities, labels), reference.confusion_matrix(labels, guess, labels=range(5))
    )


def test_per_class_equals_scikit_learn(predictions):
    probabilities, labels = predictions
    rows = per_class(probabilities, labels, list("abcde"))
    precision, recall, f1, n = reference.precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=range(5), zero_division=0
    )
    for c, row in enumerate(rows):
        assert (row["label"], row["n"]) == ("abcde"[c], n[c])
        np.testing.assert_allclose([row["precision"], row["recall"], row["f1"]], [precision[c], recall[c], f1[c]])


def test_calibration_worked_by_hand():
    # Two rows at 0.9, one right; two rows at 0.6, both right: ECE = 2/4 * |0.5 - 0.9| + 2/4 * |1 - 0.6| = 0.4.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 1])
    assert class_metrics(probabilities, labels)["ece"] == pytest.approx(0.4)
    bins = reliability_bins(probabilities, labels, bins=10)
    assert [(row["n"], row["accuracy"]) for row in bins] == [(2, 1.0), (2, 0.5)]
    assert [row["confidence"] for row in bins] == pytest.approx([0.6, 0.9])


def test_row_losses_are_clipped_and_average_to_the_metric(predictions):
    probabilities, labels = predictions
    found = class_metrics(probabilities, labels)
    assert row_log_loss(probabilities, labels).mean() == pytest.approx(found["log_loss"])
    assert row_correct(probabilities, labels).mean() == pytest.approx(found["accuracy"])
    assert row_log_loss(np.array([[1.0, 0.0]]), np.array([1]))[0] == pytest.approx(7 * np.log(10))


@pytest.mark.parametrize("labels", [np.array([], dtype=int), np.array([0, 2]), np.array([0, -1]), np.array([0])])
def test_says_what_does_not_fit(labels):
    with pytest.raises(DataError):
        class_metrics(np.full((len(labels) if not len(labels) else 2, 2), 0.5), labels)
