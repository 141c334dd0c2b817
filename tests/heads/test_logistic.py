import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from headstart.errors import DataError
from headstart.heads import logistic
from headstart.heads.logistic import logistic_path
from headstart.metrics.calibration import logits_log_loss, softmax


def made_up(n, width, classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    labels[:classes] = np.arange(classes)
    x = rng.normal(size=(n, width)) + rng.normal(size=(classes, width))[labels]
    return x * np.linspace(0.01, 5, width) + 3, labels, rng.integers(3, size=n)


@pytest.mark.parametrize(("n", "width", "classes"), [(300, 20, 4), (60, 200, 3), (120, 30, 2)])
@pytest.mark.parametrize("penalty", [10.0, 0.1, 0.003])
@pytest.mark.parametrize("cells", [0, 10**9])  # float32 and float64 products
def test_equals_scikit_learn_at_the_same_penalty(n, width, classes, penalty, cells, monkeypatch):
    monkeypatch.setattr(logistic, "FLOAT64_CELLS", cells)
    x, labels, folds = made_up(n, width, classes)
    path = logistic_path(x, labels, classes, np.array([penalty]), folds)
    z = StandardScaler().fit_transform(x)
    # scikit-learn fits two classes with one weight vector: there softmax's penalty counts half.
    strength = 1 / (path.penalty * n) * (2 if classes == 2 else 1)
    reference = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000)
    expected = reference.fit(z, labels).predict_proba(z)
    np.testing.assert_allclose(softmax(x @ path.weight.T + path.bias), expected, atol=1e-3)
    for fold in range(3):
        out = folds == fold
        c = strength * n / (~out).sum()
        expected = reference.set_params(C=c).fit(z[~out], labels[~out]).predict_proba(z[out])
        np.testing.assert_allclose(softmax(path.fold_logits[out]), expected, atol=1e-3)


def test_chooses_the_lowest_fold_loss_and_stops_after_two_rises():
    x, labels, folds = made_up(90, 60, 3, seed=1)
    labels = np.random.default_rng(0).permutation(labels)  # nothing to learn: weak penalties must lose
    path = logistic_path(x, labels, 3, None, folds)
    assert len(path.penalties) < 14
    assert path.fold_log_loss[-1] > path.fold_log_loss[-2] > path.fold_log_loss[-3]
    assert path.penalty == path.penalties[path.fold_log_loss.argmin()]
    assert path.fold_log_loss.min() < 1.2


def test_of_few_rows_and_many_classes_a_strong_penalty_is_not_refused_for_being_unsure(monkeypatch):
    """What ranks best is far too unsure; a temperature mends that. Without one a weaker penalty was taken."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 100)) * 0.45
    labels, fresh = np.repeat(np.arange(20), 8), np.repeat(np.arange(20), 200)
    folds = np.tile(np.arange(4), 40)
    x, new = (centres[y] + rng.normal(size=(len(y), 100)) for y in (labels, fresh))

    def fitted():
        path = logistic_path(x, labels, 20, None, folds)
        logits = (new @ path.weight.T + path.bias) / path.temperature
        return path, (logits.argmax(1) == fresh).mean(), logits_log_loss(logits, fresh)

    path, accuracy, loss = fitted()
    held_out = logits_log_loss(path.fold_logits / path.temperature, labels)
    assert path.fold_log_loss.min() == pytest.approx(held_out)
    assert path.temperature < 0.7
    monkeypatch.setattr(logistic, "tempered_log_loss", lambda logits, y: (logits_log_loss(logits, y), 1.0))
    as_it_is, lower, higher = fitted()
    assert as_it_is.penalty < path.penalty
    assert accuracy > lower + 0.01
    assert loss < higher - 0.02


def test_classes_absent_from_a_fold_or_altogether():
    x, labels, folds = made_up(40, 10, 3)
    labels[labels == 2] = 0
    labels[5] = 2  # absent where its fold is held out
    path = logistic_path(x, labels, 5, None, folds)
    assert np.isfinite(path.fold_logits).all()
    assert np.isfinite(path.weight).all()
    assert softmax(x @ path.weight.T + path.bias)[:, 3:].max() < 0.1


@pytest.mark.parametrize("width", [2, 80])
def test_constant_columns_get_no_weight(width):
    x, labels, folds = made_up(30, width, 2)
    x[:, 0] = 7.3
    path = logistic_path(x, labels, 2, None, folds)
    assert (path.weight[:, 0] == 0).all()
    path = logistic_path(np.ones((30, width)), labels, 2, None, folds)
    np.testing.assert_allclose(softmax(path.bias[None])[0], np.bincount(labels) / 30, atol=1e-3)


def test_one_fold_is_refused():
    x, labels, _ = made_up(10, 3, 2)
    with pytest.raises(DataError):
        logistic_path(x, labels, 2, None, np.zeros(10, dtype=int))
