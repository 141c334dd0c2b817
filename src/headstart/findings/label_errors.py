"""Likely label errors: a noise model over out-of-fold probabilities and the votes of neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ERROR_PROBABILITY = 0.75  # a label is listed where it is at least so likely wrong
NOISE_TEST = 5.41  # 99% point of half a chi-squared with one degree of freedom (the noise rate cannot be negative)
FLOOR = 1e-6  # no probability is believed to be lower
FIT_CELLS = 200_000  # rows x classes that the three parameters are fitted on
NO_NOISE = -30.0  # the noise rate's parameter where there is none
MOST_NOISE = 0.4
SHARPER = 1.0  # prior a^1: of two equal fits the one that believes the head and not a flat calibration
WEIGHTS = (-4.0, 2.5)  # log a and log b


@dataclass(frozen=True)
class LabelErrors:
    """wrong: (N,) probability that the given label is wrong. suggested: (N,) the likeliest other class.

    surprise: (N,) -log of the given label's probability; ranks rows even where there is no noise to be found.
    noise_rate: share of labels that seem replaced. test: how much better the data are explained with noise than
    without, twice the difference in log-likelihood. flagged: (N,) what is listed.
    """

    wrong: NDArray[np.float64]
    suggested: NDArray[np.int64]
    surprise: NDArray[np.float64]
    noise_rate: float
    test: float
    flagged: NDArray[np.bool_]


def label_errors(
    probabilities: NDArray[np.floating], votes: NDArray[np.floating], labels: NDArray[np.integer]
) -> LabelErrors:
    """Which labels are probably wrong.

    probabilities, votes: (N, C), neither made with the row's own label: out-of-fold probabilities, and the labels of
    nearest neighbours. labels: (N,), values 0..C-1.

    Both are pooled to p_c, proportional to head_c^a * votes_c^b (a logarithmic opinion pool, Genest and Zidek 1986).
    A label is taken to be the true class with probability 1 - e, else any of the others (symmetric noise, Angluin and
    Laird 1988). The weights a, b and the noise rate e are those under which the given labels are likeliest; a, b are
    also how the pool is calibrated; a weak prior settles a where the likelihood is flat. Then by

        wrong = f (1 - p_given) / ((1 - e) p_given + f (1 - p_given)).

    Nothing is flagged unless a noise rate above zero explains the labels better by a likelihood-ratio test at 1%: a
    calibrated model of hard but correct data expects to be wrong as often as it is, and e is then zero. Where classes
    lie so far apart that all rows are equally sure, the test cannot tell noise from a flat calibration; it is not
    needed where the hardness that remains beside the noise, the mean of 1 - max p, is at most e / 2. Flagged are rows
    with wrong >= 0.75 whose neighbours too prefer the suggested class to the given one.
    """
    rows, n_classes = np.arange(len(labels)), probabilities.shape[1]
    head, near = np.log(np.maximum(probabilities, FLOOR)), np.log(np.maximum(votes, FLOOR))
    fitted = _spread(len(labels), max(1000, FIT_CELLS // n_classes))
    free, test = _fit(head[fitted], near[fitted], labels[fitted])
    pooled = _pool(head, near, free)
    noise = _noise(free)
    given = pooled[rows, labels]
    replaced = noise / (n_classes - 1) * (1.0 - given)
    wrong = replaced / ((1.0 - noise) * given + replaced)
    others = pooled.copy()
    others[rows, labels] = -1.0
    suggested = others.argmax(1)
    agree = votes[rows, suggested] > votes[rows, labels]
    separable = float((1.0 - pooled.max(1)).mean()) <= noise / 2.0
    flagged = (wrong >= ERROR_PROBABILITY) & agree & (test > NOISE_TEST or separable)
    return LabelErrors(wrong, suggested, -np.log(np.maximum(given, 1e-300)), float(noise), test, flagged)


def _fit(
    head: NDArray[np.float64], near: NDArray[np.float64], labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], float]:
    """(log a, log b, parameter of the noise rate), and the likelihood-ratio statistic against a noise rate of zero."""
    from scipy.optimize import minimize

    rows, others = np.arange(len(labels)), head.shape[1] - 1

    def cost(free: NDArray[np.float64]) -> float:
        given, noise = _pool(head, near, free)[rows, labels], _noise(free)
        likelihood = np.log((1.0 - noise) * given + noise / others * (1.0 - given) + 1e-300).mean()
        return -float(likelihood) - SHARPER * float(free[0]) / len(labels)

    def best(starts: list[list[float]], ends: tuple[float, float]) -> tuple[NDArray[np.float64], float]:
        bounds = [WEIGHTS, WEIGHTS, ends]
        tried = [minimize(cost, np.array(start), method="L-BFGS-B", bounds=bounds) for start in starts]
        lowest = min(tried, key=lambda found: float(found.fun))
        return np.asarray(lowest.x), float(lowest.fun)

    clean, without = best([[0.0, -1.0, NO_NOISE], [-2.0, -2.0, NO_NOISE]], (NO_NOISE, NO_NOISE))
    # the second start believes its inputs: where labels are wrong, the fit without noise does not
    noisy, with_noise = best([[*clean[:2].tolist(), -3.0], [0.0, -1.0, -2.0]], (NO_NOISE, 10.0))
    test = 2.0 * len(labels) * (without - with_noise)
    return (noisy, test) if test > 0.0 else (clean, 0.0)


def _noise(free: NDArray[np.float64]) -> float:
    """At most MOST_NOISE: beyond it the given label would be the least believable of all."""
    return MOST_NOISE / (1.0 + float(np.exp(-free[2])))


def _pool(head: NDArray[np.float64], near: NDArray[np.float64], free: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pooled probabilities (N, C)."""
    values = np.exp(free[0]) * head + np.exp(free[1]) * near
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _spread(count: int, limit: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64))
