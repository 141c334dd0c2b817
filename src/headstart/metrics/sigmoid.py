"""Probabilities of several labels from logits: sigmoid, one temperature, or one slope and an offset for each label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STEPS = 60
STEEPEST = 80.0  # of the slope, in units of one over the spread of the predictions
SPAN = 7.0  # half-width of the search in ln T


def sigmoid(logits: npt.NDArray[np.floating]) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    x = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def sigmoid_temperature(logits: Floats, has: Bools) -> float:
    """The temperature T > 0 with the lowest binary log-loss of sigmoid(logits / T), mean over rows and labels.

    logits: (N, C), held out. has: (N, C), which labels are right. Logits of zero give 1.
    """
    from scipy.optimize import minimize_scalar

    scale = float(np.median(np.abs(logits))) if logits.size else 0.0
    if not np.isfinite(scale) or scale <= 0:
        return 1.0
    found = minimize_scalar(
        lambda t: _loss(logits / (scale * np.exp(t)), has), bounds=(-SPAN, SPAN), method="bounded",
        options={"xatol": 1e-4},
    )  # fmt: skip
    return float(scale * np.exp(found.x))


def slope_and_offsets(values: Floats, has: Bools, slope: float | None = None) -> tuple[float, Floats]:
    """One slope for all labels and an offset for each, (C,), with the lowest log-loss of sigmoid(slope v + offset).

    values: (N, C) predictions, held out. slope: kept where given. Newton's steps on a convex loss; each label's right
    answers are smoothed as Platt (1999) does, so that a label which is told perfectly gets no endless logits.
    """
    counts = has.sum(0)
    high, low = (counts + 1.0) / (counts + 2.0), 1.0 / (len(has) - counts + 2.0)
    target = np.where(has, high, low)
    centre, spread = values.mean(0), float(values.std()) or 1.0
    x = (values - centre) / spread  # (N, C)
    rate = np.clip(target.mean(0), 1e-6, 1 - 1e-6)
    a, b = (1.0 if slope is None else slope * spread), np.log(rate / (1 - rate))
    for _ in range(STEPS):
        p = sigmoid(a * x + b)
        error, curve = p - target, p * (1 - p) + 1e-9
        gradient_b, curve_b = error.sum(0), curve.sum(0)
        if slope is not None:
            step_b, step_a = gradient_b / curve_b, 0.0
        else:  # the offsets are eliminated: each meets the slope only
            mixed = (curve * x).sum(0)
            curve_a = float((curve * x * x).sum() - (mixed**2 / curve_b).sum())
            step_a = float((error * x).sum() - (mixed * gradient_b / curve_b).sum()) / max(curve_a, 1e-9)
            step_b = (gradient_b - mixed * step_a) / curve_b
        step_a = float(np.clip(step_a, -2.0, 2.0))
        a, b = float(np.clip(a - step_a, 0.0, STEEPEST)), b - np.clip(step_b, -2.0, 2.0)
        if abs(step_a) < 1e-7 and np.abs(step_b).max(initial=0.0) < 1e-7:
            break
    return a / spread, b - a * centre / spread


def _loss(logits: Floats, has: Bools) -> float:
    return float(np.logaddexp(0.0, np.where(has, -logits, logits)).mean())
