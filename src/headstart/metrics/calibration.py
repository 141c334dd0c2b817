"""One temperature for logits, by log-loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

SPAN = 7.0
"""Half-width of the search in ln T, around the typical spread of a row of logits."""


def fold_temperature(logits: Floats, labels: Ints) -> float:
    """The temperature T > 0 that minimises the log-loss of softmax(logits / T).

    logits: (N, C), held out (leave-one-out or out-of-fold). labels: (N,).
    Bounded root search on ln T: the loss is convex in 1/T, so its slope changes sign once. Where every row is
    already right, log-loss would ask for T = 0; then the labels are smoothed by 1/(N+2), as Platt (1999) does, so
    that n rows never yield more confidence than n rows can support. Logits without spread give 1.0.
    Source: Guo et al. 2017.
    """
    from scipy.optimize import brentq

    values = np.asarray(logits, dtype=np.float64)
    values = values - values.max(1, keepdims=True) if values.size else values
    spread = -values.min(1) if values.size else np.zeros(1)
    scale = float(np.median(spread[spread > 0])) if (spread > 0).any() else 0.0
    if not np.isfinite(scale) or scale <= 0.0:
        return 1.0
    values /= scale  # (N, C), so that the bounds mean the same for every head
    wanted = _target_mean(values, labels)

    def slope(log_beta: float) -> float:
        beta = float(np.exp(log_beta))
        return _expected_logit(values * beta) / beta - wanted

    if slope(-SPAN) >= 0:
        return float(scale * np.exp(SPAN))  # logits that mislead: as flat as the bound allows
    if slope(SPAN) <= 0:
        return float(scale * np.exp(-SPAN))
    return float(scale * np.exp(-float(brentq(slope, -SPAN, SPAN, xtol=1e-6))))


def tempered_log_loss(logits: Floats, labels: Ints) -> tuple[float, float]:
    """Mean log-loss in nats of softmax(logits / T), not clipped, and T = fold_temperature(logits, labels)."""
    temperature = fold_temperature(logits, labels)
    return logits_log_loss(logits / temperature, labels), temperature


def logits_log_loss(logits: Floats, labels: Ints) -> float:
    """Mean log-loss in nats of softmax(logits), not clipped."""
    values = np.asarray(logits, dtype=np.float64)
    peak = values.max(1)
    total = np.log(np.exp(values - peak[:, None]).sum(1)) + peak
    return float((total - values[np.arange(len(labels)), labels]).mean())


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Probabilities (N, C) from logits (N, C)."""
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _target_mean(values: npt.NDArray[np.float64], labels: Ints) -> float:
    chosen = values[np.arange(len(labels)), labels]
    if (chosen < 0).any():  # rows are shifted so that their maximum is 0
        return float(chosen.mean())
    smoothing = 1.0 / (len(labels) + 2)
    others = values.sum(1) / max(values.shape[1] - 1, 1)
    return float((smoothing * others).mean())


def _expected_logit(values: npt.NDArray[np.float64]) -> float:
    powers = np.exp(values)  # row maxima are 0: cannot overflow
    return float(((powers * values).sum(1) / powers.sum(1)).mean())
