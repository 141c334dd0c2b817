import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler, normalize

from headstart.errors import DataError, SettingError
from headstart.heads.linear import fit_linear_head, fold_temperature, refit_linear_head
from headstart.heads.normalise import l2_rows, standardise
from headstart.metrics.calibration import logits_log_loss, softmax


def made_up(n=120, width=30, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    good = rng.normal(size=(n, width)) + rng.normal(size=(classes, width))[labels]
    return {"noise": rng.normal(size=(n, width)), "good": good}, labels


def fit(features, labels, classes, groups=None, **options):
    groups = np.arange(len(labels)) if groups is None else groups
    return fit_linear_head(features, labels, classes, groups, np.random.default_rng(0), **options)[:3]


def test_finds_the_informative_features_and_reports_the_search():
    features, labels = made_up()
    head, held_out, trace = fit(features, labels, 3)
    assert head.feature == "good"
    assert held_out.shape == (120, 3)
    assert head.loo_log_loss == pytest.approx(logits_log_loss(held_out, labels), abs=1e-6)
    assert (held_out.argmax(1) == labels).mean() > 0.8
    assert sum(row["chosen"] for row in trace) == 1
    assert {row["kind"] for row in trace} == {"ridge", "logistic"}
    assert all(row["seconds"] >= 0 and np.isfinite(row["score"]) for row in trace)


@pytest.mark.parametrize("normalisation", ["raw", "standardised", "l2"])
def test_ridge_head_equals_scikit_learn_with_its_temperature(normalisation):
    features, labels = made_up(n=40)
    x = features["good"] * np.linspace(0.1, 9, 30) + 1
    head, held_out, trace = fit({"x": x}, labels, 3, kinds=("ridge",))
    row = next(row for row in trace if row["normalisation"] == normalisation)
    z = {"raw": x, "standardised": StandardScaler().fit_transform(x), "l2": normalize(x)}[normalisation]
    onehot = np.eye(3)[labels]
    expected = np.stack(
        [
            Ridge(alpha=row["penalty"]).fit(np.delete(z, i, 0), np.delete(onehot, i, 0)).predict(z[i : i + 1])[0]
            for i in range(40)
        ]
    )
    assert row["score"] == pytest.approx(logits_log_loss(expected / fold_temperature(expected, labels), labels))
    if row["chosen"]:
        np.testing.assert_allclose(held_out, expected / row["temperature"], atol=1e-6)
        full = Ridge(alpha=row["penalty"]).fit(z, onehot).predict(z) / row["temperature"]
        np.testing.assert_allclose(head.logits(x), full, atol=1e-4)


@pytest.mark.parametrize("allow", [False, {"x": False}, {}])
def test_unit_length_only_where_allowed(allow):
    features, labels = made_up(n=30)
    _, _, trace = fit({"x": features["good"]}, labels, 3, allow_l2=allow)
    assert all(row["normalisation"] != "l2" for row in trace)


def test_unit_length_wins_when_lengths_are_noise():
    features, labels = made_up(n=150)
    lengths = np.exp(3 * np.random.default_rng(1).normal(size=(150, 1)))
    head, _, _ = fit({"x": features["good"] * lengths}, labels, 3)
    assert head.normalisation == "l2"
    a, b = head.logits(features["good"]), head.logits(features["good"] * lengths)
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_copies_of_rows_do_not_flatter_when_grouped():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(40, 200)), rng.integers(2, size=40)  # pure noise, each row five times
    head, _, _ = fit({"x": np.repeat(x, 5, 0)}, np.repeat(labels, 5), 2, np.repeat(np.arange(40), 5))
    assert head.loo_log_loss > 0.6


def test_near_ties_go_to_the_earlier_feature_set():
    features, labels = made_up()
    head, _, _ = fit({"first": features["good"], "second": features["good"] + 1e-9}, labels, 3)
    assert head.feature == "first"


@pytest.mark.parametrize("n", [4, 5, 9])
@pytest.mark.parametrize("width", [1, 3, 500])
@pytest.mark.parametrize("classes", [2, 12])
def test_tiny_data(n, width, classes):
    features, labels = made_up(n, width, min(n, classes))
    head, held_out, _ = fit(features, labels, classes)
    assert head.weight.shape == (classes, width)
    assert head.logits(features[head.feature]).shape == held_out.shape == (n, classes)
    assert np.isfinite(held_out).all()
    assert np.isfinite(head.weight).all()


def test_odd_features():
    features, labels = made_up(40, 6, 2)
    odd = features["good"].astype(np.float32)
    odd[:, 2], odd[7] = 3.0, 0.0
    for values in (odd, np.zeros((40, 6), dtype=np.float32), np.full((40, 80), 1e6, dtype=np.float32)):
        head, held_out, _ = fit({"x": values}, labels, 2)
        assert np.isfinite(held_out).all()
        assert np.isfinite(head.logits(values)).all()


def test_a_class_with_one_row_and_groups_of_one_class():
    features, labels = made_up(30, 5, 2)
    labels[3] = 2
    for groups in (None, np.array([f"g{i // 4}" for i in range(30)]), labels):
        _, held_out, _ = fit(features, labels, 3, groups)
        assert np.isfinite(held_out).all()


def test_normalisations_equal_scikit_learn():
    x = np.random.default_rng(0).normal(size=(20, 4)) * 3 + 2
    np.testing.assert_allclose(standardise(x)[0], StandardScaler().fit_transform(x))
    np.testing.assert_allclose(l2_rows(x), normalize(x))


def test_says_what_does_not_fit():
    features, labels = made_up(20, 5, 2)
    head, _, _ = fit(features, labels, 2, kinds=("logistic",))
    assert head.kind == "logistic"
    with pytest.raises(DataError, match="received"):
        head.logits(np.ones((3, 4)))
    with pytest.raises(DataError, match="one group"):
        fit(features, labels, 2, np.zeros(20))
    with pytest.raises(DataError, match="not finite"):
        fit({"x": np.full((20, 2), np.nan)}, labels, 2)
    with pytest.raises(SettingError):
        fit(features, labels, 2, kinds=("forest",))


def test_a_dead_channel_gets_no_weight() -> None:
    """A channel of size 1e-30 standardises to unit spread; its folded weight would be about 1e30."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    x[:, 2] *= 1e-30
    labels = (x[:, 0] > 0).astype(int)
    head, _, _, _ = fit_linear_head({"a": x}, labels, 2, np.arange(60), rng)
    assert np.abs(head.weight).max() < 1e4
    assert np.all(head.weight[:, 2] == 0) or head.normalisation != "standardised"


@pytest.mark.parametrize("kinds", [("ridge",), ("logistic",), ("ridge", "logistic")])
@pytest.mark.parametrize("allow_l2", [True, False])
def test_heads_of_folds_have_not_seen_their_fold(kinds, allow_l2):
    """Each is the chosen kind fitted to the other rows: by scikit-learn for ridge, the search's own for logistic."""
    features, labels = made_up(n=200)
    x, folds = features["good"], np.arange(200) % 4
    head, held_out, _, fold_heads = fit_linear_head(
        {"x": x}, labels, 3, np.arange(200), np.random.default_rng(0), kinds=kinds, allow_l2=allow_l2, folds=folds
    )
    assert len(fold_heads) == 4
    z = {"raw": x, "standardised": StandardScaler().fit_transform(x), "l2": normalize(x)}[head.normalisation]
    for fold, without in enumerate(fold_heads):
        out = folds == fold
        assert (without.kind, without.feature, without.normalisation) == (head.kind, "x", head.normalisation)
        expected = held_out[out]
        if head.kind == "ridge":
            ridge = Ridge(alpha=head.penalty).fit(z[~out], np.eye(3)[labels[~out]])
            expected = ridge.predict(z[out]) / head.temperature
        np.testing.assert_allclose(without.logits(x[out]), expected, atol=1e-4)
        assert np.abs(without.logits(x[out]) - head.logits(x[out])).max() > 1e-2


def test_no_heads_of_folds_unless_asked_for():
    features, labels = made_up()
    assert fit_linear_head(features, labels, 3, np.arange(120), np.random.default_rng(0)).fold_heads == []


@pytest.mark.parametrize("kinds", [("ridge",), ("logistic",), ("ridge", "logistic")])
def test_a_head_without_bias_is_a_matrix_alone_in_every_fold_and_refit(kinds):
    features, labels = made_up()
    x = {"good": features["good"] + 3}  # far from the origin, so that an intercept would be used
    folds = np.arange(len(labels)) % 3
    fitted = fit_linear_head(
        x, labels, 3, np.arange(120), np.random.default_rng(0), kinds=kinds, folds=folds, without_bias=("good",)
    )
    refitted = refit_linear_head(fitted.head, x, labels, 3)
    for head in (fitted.head, *fitted.fold_heads, refitted):
        assert not head.has_bias and not head.bias.any()
        assert (head.logits(x["good"]).argmax(1) == labels).mean() > 0.8
    chances = [softmax(head.logits(x["good"]).astype(float)) for head in (refitted, fitted.head)]
    np.testing.assert_allclose(*chances, atol=0.02)  # logistic: at weak penalties the optimum is flat
    with_bias = fit(x, labels, 3, kinds=kinds)[0]
    assert with_bias.has_bias and np.abs(with_bias.bias).max() > 0.1
