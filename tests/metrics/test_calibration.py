import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from headstart.metrics.calibration import fold_temperature, logits_log_loss, softmax


def loss_at(log_t, logits, labels):
    return -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_equals_a_general_minimiser(scale):
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=300)
    logits = (rng.normal(size=(300, 5)) + 1.5 * np.eye(5)[labels]) * scale
    found = minimize_scalar(loss_at, bounds=(-15, 15), args=(logits, labels), method="bounded", options={"xatol": 1e-9})
    assert fold_temperature(logits, labels) == pytest.approx(np.exp(found.x), rel=1e-4)
    assert logits_log_loss(logits, labels) == pytest.approx(loss_at(0.0, logits, labels))
    np.testing.assert_allclose(np.log(softmax(logits / scale)), log_softmax(logits / scale, axis=1))


def test_ten_right_rows_give_the_confidence_of_platt_smoothing():
    labels = np.array([0, 1] * 5)
    temperature = fold_temperature(np.eye(2)[labels] * 3, labels)
    # By hand: a constant margin m is best at probability 1 - 1/(n+2), so 3 / T = ln(11).
    assert 3 / temperature == pytest.approx(np.log(11), rel=1e-4)


def test_degenerate_logits():
    assert fold_temperature(np.ones((4, 3)), np.array([0, 1, 2, 0])) == 1.0
    misleading = np.eye(2)[[1, 0, 1, 0]]
    temperature = fold_temperature(misleading, np.array([0, 1, 0, 1]))
    assert softmax(misleading / temperature).max() < 0.501
