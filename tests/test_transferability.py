import numpy as np
import pytest
from scipy import linalg, stats
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from headstart import transferability
from headstart.data.folds import grouped_folds
from headstart.errors import DataError
from headstart.metrics.calibration import fold_temperature, logits_log_loss
from headstart.transferability import h_score, knn_loo, lda_log_loss, log_me

SHAPES = [(30, 80), (80, 12)]


def made_up(n, width, classes=3, strength=1.0):
    rng = np.random.default_rng(n)
    labels = rng.permutation(np.arange(n) % classes)
    return rng.normal(size=(n, width)) + strength * rng.normal(size=(classes, width))[labels], labels


def exact_evidence(f, y, alpha, beta):
    """Density of the N - 1 contrasts of y; centring leaves no more."""
    contrasts = linalg.null_space(np.ones((1, len(y)))).T
    covariance = np.eye(len(y) - 1) / beta + contrasts @ f @ f.T @ contrasts.T / alpha
    return stats.multivariate_normal(np.zeros(len(y) - 1), covariance).logpdf(contrasts @ y)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_evidence_equals_the_gaussian_density(shape, strength):
    x, labels = made_up(*shape, strength=strength)
    f = x - x.mean(0)
    y = np.eye(3)[labels] - np.eye(3)[labels].mean(0)
    z, spectrum = transferability._row_space(x)
    inner = z.T @ y / np.sqrt(spectrum)[:, None]
    found, alpha, beta = transferability._evidence(
        spectrum, inner, (y**2).sum(0) - (inner**2).sum(0), shape[0] - 1, shape[1]
    )
    for c in range(3):
        assert found[c] == pytest.approx(exact_evidence(f, y[:, c], alpha[c], beta[c]), rel=1e-6)


@pytest.mark.parametrize("shape", [(20, 40), (80, 12)])
def test_log_me_is_the_largest_evidence(shape):
    x, labels = made_up(*shape)
    x += np.random.default_rng(1).normal(size=(len(x), 4)) @ np.random.default_rng(2).normal(size=(4, x.shape[1]))
    f, y = x - x.mean(0), np.eye(3)[labels] - np.eye(3)[labels].mean(0)
    best = [
        -minimize(lambda p, c=c: -exact_evidence(f, y[:, c], *np.exp(p)), [0.0, 0.0], method="Nelder-Mead").fun
        for c in range(3)
    ]
    assert log_me(x, labels) == pytest.approx(np.mean(best) / len(x), abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_h_score_equals_its_definition(shape):
    x, labels = made_up(*shape)
    n = len(x)
    f = x - x.mean(0)
    shrunk, a = ledoit_wolf(f, assume_centered=True)
    means = np.stack([f[labels == c].mean(0) for c in range(3)])[labels]
    expected = (1 - a) * np.trace(np.linalg.solve(shrunk, means.T @ means / n))
    assert h_score(x, labels) == pytest.approx(expected, rel=1e-6)


def test_knn_equals_scikit_learn(monkeypatch):
    x, labels = made_up(90, 6, strength=0.7)
    monkeypatch.setattr(transferability, "KNN_CELLS", 1000)  # several chunks
    for k in (1, 5):
        model = KNeighborsClassifier(k, metric="cosine", weights="uniform")
        expected = cross_val_predict(model, x, labels % 2, cv=LeaveOneOut()) == labels % 2
        assert knn_loo(x, labels % 2, k) == pytest.approx(expected.mean())  # two classes, odd k: no ties


def test_knn_ties_go_to_the_nearer_class_and_groups_do_not_vote():
    x = np.array([[1.0, 0.0], [1.0, 0.05], [0.0, 1.0], [0.05, 1.0]])
    labels = np.array([0, 0, 1, 1])
    assert knn_loo(x, labels, 2) == 1.0
    assert knn_loo(x, labels, 2, groups=np.array([0, 0, 1, 1])) == 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_lda_equals_the_formula_written_out(shape):
    x, labels = made_up(*shape)
    n, width = shape
    folds = grouped_folds(labels, np.arange(n), 5, 0)
    logits = np.empty((n, 3))
    for fold in range(5):
        out = folds == fold
        rows, known = x[~out], labels[~out]
        means = np.stack([rows[known == c].mean(0) for c in range(3)])
        s = np.cov((rows - means[known]).T)
        p = width * np.linalg.inv((len(rows) - 1) * s + np.trace(s) * np.eye(width))
        # The origin does not matter to the class posterior up to the formula's own terms: x is centred overall.
        centre = x.mean(0)
        w = (means - centre) @ p
        prior = (np.bincount(known) + 0.5) / (len(known) + 1.5)
        logits[out] = (x[out] - centre) @ w.T + np.log(prior) - 0.5 * np.einsum("cd,cd->c", means - centre, w)
    expected = -logits_log_loss(logits / fold_temperature(logits, labels), labels)
    assert lda_log_loss(x, labels) == pytest.approx(expected, rel=1e-6)


def test_lda_agrees_with_scikit_learn_where_rows_are_many():
    x, labels = made_up(600, 5, strength=0.6)
    folds = grouped_folds(labels, np.arange(600), 5, 0)
    model = LinearDiscriminantAnalysis()
    probabilities = np.empty((600, 3))
    for fold in range(5):
        out = folds == fold
        probabilities[out] = model.fit(x[~out], labels[~out]).predict_proba(x[out])
    expected = np.log(probabilities[np.arange(600), labels]).mean()
    assert lda_log_loss(x, labels) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("score", [log_me, h_score, knn_loo, lda_log_loss])
@pytest.mark.parametrize("shape", SHAPES)
def test_informative_features_score_higher(score, shape):
    scores = [score(*made_up(*shape, strength=s)) for s in (0.0, 0.5, 1.5)]
    assert scores == sorted(scores)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("score", [log_me, h_score, knn_loo, lda_log_loss])
def test_odd_input(score):
    x, labels = made_up(20, 5)
    x[:, 1], x[3] = 2.0, 0.0
    labels[0] = 7  # a class with one row, and numbers missing in between
    assert np.isfinite(score(x.astype(np.float32), labels))
    with pytest.raises(DataError, match="two classes"):
        score(x, np.zeros(20, dtype=int))
