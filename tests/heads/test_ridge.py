import numpy as np
import pytest
from sklearn.linear_model import Ridge

from headstart.errors import DataError
from headstart.heads.ridge import ridge_fit, ridge_path


def brute_force(x, y, penalty, groups):
    held_out = np.empty_like(y)
    for group in np.unique(groups):
        out = groups == group
        held_out[out] = Ridge(alpha=penalty, solver="svd").fit(x[~out], y[~out]).predict(x[out])
    return held_out


@pytest.mark.parametrize("shape", [(15, 40), (41, 40), (12, 11), (60, 8)])
@pytest.mark.parametrize("grouped", [False, True])
def test_leaving_out_equals_refitting(shape, grouped):
    rng = np.random.default_rng(0)
    n, width = shape
    x = rng.normal(size=shape) * np.linspace(0.1, 3, width) + 5
    y = np.eye(3)[rng.integers(3, size=n)]
    groups = rng.integers(n // 2, size=n) if grouped else np.arange(n)
    lambdas = np.array([1e-3, 1.0, 1e3])
    path = ridge_path(x, y, lambdas, groups if grouped else None)
    for index, penalty in enumerate(lambdas):
        expected = brute_force(x, y, penalty, groups)
        np.testing.assert_allclose(path.leave_one_out(index), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", [(15, 40), (60, 8)])
def test_weights_equal_scikit_learn(shape):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=shape) + 2, rng.normal(size=(shape[0], 2))
    for weight, bias in (ridge_path(x, y, np.array([0.7])).weights(0), ridge_fit(x, y, 0.7)):
        reference = Ridge(alpha=0.7, solver="svd").fit(x, y)
        np.testing.assert_allclose(weight, reference.coef_, atol=1e-9)
        np.testing.assert_allclose(bias, reference.intercept_, atol=1e-9)


def test_one_large_group_and_float32_features():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 6)).astype(np.float32), rng.normal(size=(50, 2))
    groups = np.array([7] * 30 + list(range(100, 120)))
    expected = brute_force(x.astype(float), y, 2.0, groups)
    np.testing.assert_allclose(ridge_path(x, y, np.array([2.0]), groups).leave_one_out(0), expected, atol=1e-8)


@pytest.mark.parametrize("width", [3, 50])
def test_constant_features_predict_the_mean_of_the_others(width):
    y = np.array([[1.0], [2.0], [6.0], [3.0], [3.0]])
    path = ridge_path(np.ones((5, width)), y)
    np.testing.assert_allclose(path.leave_one_out(0), (15.0 - y) / 4)


def test_default_path_is_finite_from_weakest_to_strongest():
    rng = np.random.default_rng(3)
    for shape in ((10, 500), (500, 10)):
        path = ridge_path(rng.normal(size=shape), np.eye(2)[rng.integers(2, size=shape[0])])
        assert len(path.lambdas) == 25
        assert all(np.isfinite(path.leave_one_out(i)).all() for i in range(25))


def test_one_group_is_refused():
    with pytest.raises(DataError):
        ridge_path(np.eye(4), np.eye(4), None, np.zeros(4, dtype=int))


@pytest.mark.parametrize("shape", [(15, 40), (41, 40), (60, 8)])
@pytest.mark.parametrize("grouped", [False, True])
def test_without_a_bias_leaving_out_equals_refitting_without_intercept(shape, grouped):
    rng = np.random.default_rng(2)
    n, _ = shape
    x = rng.normal(size=shape) + 1
    y = np.eye(3)[rng.integers(3, size=n)]
    groups = rng.integers(n // 2, size=n) if grouped else np.arange(n)
    path = ridge_path(x, y, np.array([0.5]), groups if grouped else None, bias=False)
    held_out = np.empty_like(y)
    for group in np.unique(groups):
        out = groups == group
        reference = Ridge(alpha=0.5, solver="svd", fit_intercept=False).fit(x[~out], y[~out])
        held_out[out] = reference.predict(x[out])
    np.testing.assert_allclose(path.leave_one_out(0), held_out, rtol=0, atol=1e-8)
    whole = Ridge(alpha=0.5, solver="svd", fit_intercept=False).fit(x, y)
    for weight, bias in (path.weights(0), ridge_fit(x, y, 0.5, bias=False)):
        np.testing.assert_allclose(weight, whole.coef_, atol=1e-9)
        assert not bias.any()
