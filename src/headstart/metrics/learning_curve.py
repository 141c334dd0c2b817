"""How an error falls with the number of labels: a power law fitted to measured sizes, and what more labels would bring.

e(n) = a + b (n + d)^-c with a, b, c, d >= 0. For each shape (c, d) of a grid the best a and b are least squares in
closed form; the grid point with the smallest squares wins. All fits of a bootstrap are made at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError
from headstart.types import Interval

Floats = npt.NDArray[np.float64]

POWERS = np.linspace(0.05, 2.0, 40)
SHIFTS = (0.0, 1.0, 3.0)  # of the smallest size
MIN_SIZES = 5
FARTHEST = 4.0  # times the largest measured size: beyond that nothing is predicted


@dataclass(frozen=True)
class PowerLaw:
    """e(n) = floor + scale (n + shift)^-power, each (B,): one curve for each row of errors."""

    floor: Floats
    scale: Floats
    power: Floats
    shift: Floats

    def error(self, size: float) -> Floats:
        """Errors (B,) with this many labels."""
        return np.asarray(self.floor + self.scale * (size + self.shift) ** -self.power)

    def size_for(self, error: float | Floats) -> Floats:
        """Labels (B,) at which this error, or each curve's own (B,), is reached; infinite where it ends above."""
        above = error - self.floor
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            sizes = (self.scale / above) ** (1.0 / self.power) - self.shift
        sizes = np.where(self.scale <= 0, np.where(above >= 0, 0.0, np.inf), sizes)
        return np.asarray(np.where(above > 0, np.maximum(sizes, 0.0), np.inf))


def fit_power_law(sizes: npt.ArrayLike, errors: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> PowerLaw:
    """Least-squares power laws.

    sizes: (K,) numbers of labels, ascending. errors: (B, K) or (K,), shares of 0 to 1. weights: (K,) of the squares;
    equal where left out.
    Raises DataError with fewer than five sizes, or shapes that do not fit.
    """
    n = np.asarray(sizes, dtype=np.float64)
    e = np.atleast_2d(np.asarray(errors, dtype=np.float64))
    if len(n) < MIN_SIZES or e.shape[1] != len(n):
        raise DataError(f"A learning curve needs {MIN_SIZES} sizes, received {len(n)} with errors of shape {e.shape}.")
    w = np.ones(len(n)) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.mean()
    best = np.full(len(e), np.inf)
    found = [np.zeros(len(e)) for _ in range(4)]
    for shift in (share * n[0] for share in SHIFTS):
        for power in POWERS:
            x = (n + shift) ** -power
            floor, scale = _floor_and_scale(x, e, w)
            squares = (w * (floor[:, None] + scale[:, None] * x - e) ** 2).sum(1)
            better = squares < best - 1e-15
            best = np.where(better, squares, best)
            for values, new in zip(found, (floor, scale, power, shift)):
                values[better] = np.broadcast_to(new, len(e))[better]
    return PowerLaw(*found)


def _floor_and_scale(x: Floats, e: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Non-negative weighted least squares of e (B, K) on 1 and x (K,)."""
    share = w / w.sum()
    middle, level = share @ x, e @ share
    centred = x - middle
    scale = (e @ (share * centred)) / (share @ centred**2)
    floor = level - scale * middle
    through = np.maximum(e @ (share * x) / (share @ x**2), 0.0)  # with a floor of zero
    scale, floor = np.where(floor < 0, through, scale), np.maximum(floor, 0.0)
    return np.where(scale < 0, level, floor), np.maximum(scale, 0.0)


@dataclass(frozen=True)
class MeasuredErrors:
    """Errors at nested sizes, by seed and group of held-out rows, so that both can be resampled.

    sizes: (K,). errors: (S, K, G) sums of errors of a group's held-out rows. rows: (S, G) how many these are, 0 where a
    seed has learnt from the group.
    """

    sizes: npt.NDArray[np.int64]
    errors: Floats
    rows: Floats

    def mean(self) -> Floats:
        """Mean error at each size (K,)."""
        return np.asarray((self.errors.sum(2) / self.rows.sum(1)[:, None]).mean(0))

    def draws(self, rng: np.random.Generator, resamples: int = 400) -> Floats:
        """Mean errors (B, K) with groups of rows and seeds drawn anew, both with replacement."""
        seeds, groups = self.rows.shape
        weights = rng.multinomial(groups, np.full(groups, 1.0 / groups), size=resamples).astype(np.float64)  # (B, G)
        errors = np.einsum("skg,bg->bsk", self.errors, weights, optimize=True)
        rows = np.maximum(weights @ self.rows.T, 1.0)  # (B, S)
        picked = rng.integers(seeds, size=(resamples, seeds))
        each = errors / rows[:, :, None]  # (B, S, K)
        return np.asarray(each[np.arange(resamples)[:, None], picked].mean(1))


def precision(draws: Floats) -> Floats:
    """Weights (K,) for a fit: how little each size's error varies over the draws (B, K)."""
    spread: Floats = draws.var(0)
    return np.asarray(1.0 / np.maximum(spread, max(float(spread.max()), 1e-12) / 100))


def gain_of_more(measured: MeasuredErrors, draws: Floats, labels: int, more: int) -> Interval:
    """By how much the error falls from `labels` labels to `labels + more`, with its 95% interval; positive is better.

    draws: as `MeasuredErrors.draws` gives them. n counts the groups.
    Raises DataError beyond four times the largest measured size: nobody can know.
    """
    if labels + more > FARTHEST * measured.sizes[-1]:
        raise DataError(
            f"{labels + more} labels are more than {FARTHEST:g} times the {measured.sizes[-1]} that were measured. Ask "
            "for fewer."
        )
    weights = precision(draws)
    central = fit_power_law(measured.sizes, measured.mean(), weights)
    drawn = fit_power_law(measured.sizes, draws, weights)
    gains = drawn.error(labels) - drawn.error(labels + more)
    low, high = np.quantile(gains, [0.025, 0.975])
    value = float((central.error(labels) - central.error(labels + more))[0])
    return Interval(value, float(min(low, value)), float(max(high, value)), measured.rows.shape[1])
