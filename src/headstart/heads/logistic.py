"""Multinomial logistic regression along a path of L2 penalties, strong to weak.

Features are standardised and rotated onto the eigenvectors of their Gram matrix. The penalty does not notice the
rotation, the solution lies in the span of the rows (so N < D works with N numbers per class), and in this basis the
curvature is nearly diagonal: scaled by it, L-BFGS needs about ten steps from the previous penalty's solution.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError
from headstart.heads.normalise import fold_back, standardise
from headstart.metrics.calibration import softmax, tempered_log_loss

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
AnyFloats = npt.NDArray[np.floating]

FLOAT64_CELLS = 500_000
"""Below this size the products are computed in float64, above in float32 (twice as fast, tested equal)."""


THREADED_CELLS = 200_000_000
"""From this many multiplications per product (rows x coordinates x classes) on, several BLAS threads pay."""

Tolerance = tuple[float, float]
"""L-BFGS's limits: the largest gradient, and the relative decrease of the loss."""
TIGHT: Tolerance = (1e-5, 1e-10)
LOOSE: Tolerance = (1e-4, 1e-8)
"""Enough to choose a penalty by: moves fold losses by less than 0.0005 nats, takes 0.6 of the time."""


@dataclass(frozen=True)
class LogisticPath:
    """The chosen fit, and what led to the choice.

    penalties, fold_log_loss: (P,) those tried, strong to weak, and their mean out-of-fold log-loss in nats, each after
    the temperature that suits it. temperature: that of `penalty`, applied to none of what follows.
    weight (C, D), bias (C,): fit to all rows with `penalty`, for features as they were passed in.
    fold_logits: (N, C) out-of-fold logits of `penalty`. fold_weights: weight and bias behind them, one pair a fold.
    """

    penalties: Floats
    fold_log_loss: Floats
    penalty: float
    temperature: float
    weight: Floats
    bias: Floats
    fold_logits: Floats
    fold_weights: list[tuple[Floats, Floats]]


def default_penalties(width: int) -> Floats:
    """14 penalties, strong to weak: from D to D * 10^-6.5, where D is the mean squared length of a standardised row."""
    return width * np.logspace(0, -6.5, 14)


def logistic_path(
    features: AnyFloats, labels: Ints, n_classes: int, penalties: Floats | None, folds: Ints, bias: bool = True
) -> LogisticPath:
    """Fit at each penalty on each fold's other rows, choose by tempered out-of-fold log-loss, refit on all rows.

    With few rows of many classes a strong penalty ranks classes best and is far too unsure of them. Without a
    temperature the loss would ask for a weaker one, for the sake of confidence alone (docs/log.md).

    features: (N, D). labels: (N,) 0..C-1; classes may be absent, from folds too. folds: (N,) fold numbers.
    penalties: (P,) strong to weak, for mean log-loss + penalty/2 |W|^2 on standardised features, intercept free
    (scikit-learn's C = 1 / (penalty * N) if there are three classes or more); None for `default_penalties`.
    bias: fit an intercept; without one features are scaled and not centred.
    Stops early once the loss has risen twice in a row. Mean and scale of the standardisation come from all rows.
    Raises DataError if folds has fewer than two values.
    """
    parts = [folds == fold for fold in np.unique(folds)]
    if len(parts) < 2:
        raise DataError("Choosing a penalty needs at least two folds, received one. Add examples or groups.")
    grid = default_penalties(features.shape[1]) if penalties is None else penalties
    z, mean, factor = standardise(features, bias)
    rows, spectrum, rotation = _rotate(z)
    with _threads(rows.size * n_classes):
        losses, penalty, heat, theta, thetas, held_out = _walk(rows, labels, n_classes, parts, grid, spectrum, bias)
    (weight, intercept), *without = [fold_back((rotation @ t[:-1]).T, t[-1], mean, factor) for t in (theta, *thetas)]
    tried = grid[: len(losses)]
    return LogisticPath(tried, np.array(losses), penalty, heat, weight, intercept, held_out, without)


def logistic_fit(
    features: AnyFloats, labels: Ints, n_classes: int, penalty: float, bias: bool = True
) -> tuple[Floats, Floats]:
    """Weight (C, D) and bias (C,) at one penalty, without a path or folds; zero where no bias is wanted."""
    z, mean, factor = standardise(features, bias)
    rows, spectrum, rotation = _rotate(z)
    with _threads(rows.size * n_classes):
        problem = _Problem.of(rows, labels, n_classes, bias)
        theta = problem.solve(problem.start(), penalty, spectrum)
    return fold_back((rotation @ theta[:-1]).T, theta[-1], mean, factor)


def _walk(
    rows: Floats,
    labels: Ints,
    n_classes: int,
    parts: list[npt.NDArray[np.bool_]],
    grid: Floats,
    spectrum: Floats,
    bias: bool,
) -> tuple[list[float], float, float, Floats, list[Floats], Floats]:
    """Fold losses, the best penalty and its temperature, parameters of the fits to all rows and without each part,
    logits (N, C).
    """
    problems = [_Problem.of(rows[~part], labels[~part], n_classes, bias) for part in parts]
    state = [problem.start() for problem in problems]
    losses: list[float] = []
    best = state
    for penalty in grid:
        state = [problem.solve(guess, penalty, spectrum, LOOSE) for problem, guess in zip(problems, state)]
        losses.append(tempered_log_loss(_held_out(rows, parts, state), labels)[0])
        if losses[-1] <= min(losses):
            best = state
        if len(losses) > 2 and losses[-1] > losses[-2] > losses[-3]:
            break
    chosen = int(np.argmin(losses))
    penalty = float(grid[chosen])
    without = [problem.solve(guess, penalty, spectrum) for problem, guess in zip(problems, best)]
    held_out = _held_out(rows, parts, without)
    losses[chosen], temperature = tempered_log_loss(held_out, labels)
    final = _Problem.of(rows, labels, n_classes, bias).solve(np.mean(without, axis=0), penalty, spectrum)
    return losses, penalty, temperature, final, without, held_out


def _held_out(rows: Floats, parts: list[npt.NDArray[np.bool_]], thetas: list[Floats]) -> Floats:
    """Logits (N, C) of each part by the parameters fitted without it."""
    logits = np.empty((len(rows), thetas[0].shape[1]))
    for part, theta in zip(parts, thetas):
        logits[part] = rows[part] @ theta[:-1] + theta[-1]
    return logits


@dataclass(frozen=True)
class _Problem:
    """One training set. Parameters are theta (k + 1, C); the last row is the intercept, zero without bias."""

    rows: AnyFloats  # (n, k)
    labels: Ints
    onehot: AnyFloats  # (n, C)
    absent: npt.NDArray[np.bool_]  # (C,)
    bias: bool

    @staticmethod
    def of(rows: Floats, labels: Ints, n_classes: int, bias: bool) -> _Problem:
        kind = np.float64 if rows.size * n_classes <= FLOAT64_CELLS else np.float32
        onehot = np.zeros((len(rows), n_classes), dtype=kind)
        onehot[np.arange(len(rows)), labels] = 1
        return _Problem(np.ascontiguousarray(rows, dtype=kind), labels, onehot, np.asarray(onehot.sum(0) == 0), bias)

    def start(self) -> Floats:
        theta = np.zeros((self.rows.shape[1] + 1, self.onehot.shape[1]))
        if not self.bias:
            return theta
        counts = self.onehot.sum(0, dtype=np.float64)
        theta[-1] = np.log((counts + 0.5) / (len(self.rows) + 0.5 * len(counts)))
        return theta

    def solve(self, theta: Floats, penalty: float, spectrum: Floats, tolerance: Tolerance = TIGHT) -> Floats:
        """Minimise from theta, in coordinates scaled by the inverse root of the approximate curvature."""
        from scipy.optimize import minimize

        probabilities = softmax(self._logits(theta))
        curvature = np.maximum((probabilities * (1 - probabilities)).mean(0), 1e-4)  # (C,)
        scale = np.empty_like(theta)
        scale[:-1] = 1.0 / np.sqrt(np.outer(spectrum, curvature) + penalty)
        # nothing to learn an intercept from
        scale[-1] = np.where(self.absent | (not self.bias), 0.0, 1.0 / np.sqrt(curvature))

        def objective(step: Floats) -> tuple[float, Floats]:
            at = theta + scale * step.reshape(theta.shape)
            value, gradient = self._loss(at)
            gradient[:-1] += penalty * at[:-1]
            return value + 0.5 * penalty * float((at[:-1] ** 2).sum()), (scale * gradient).ravel()

        options: Any = {"maxiter": 200, "maxcor": 10, "gtol": tolerance[0], "ftol": tolerance[1]}
        found = minimize(objective, np.zeros(theta.size), jac=True, method="L-BFGS-B", options=options)
        return np.asarray(theta + scale * found.x.reshape(theta.shape))

    def _logits(self, theta: Floats) -> AnyFloats:
        kind = self.rows.dtype
        return np.asarray(self.rows @ theta[:-1].astype(kind) + theta[-1].astype(kind))

    def _loss(self, theta: Floats) -> tuple[float, Floats]:
        if theta.shape[1] == 2:
            return self._binary_loss(theta)
        logits = self._logits(theta)  # (n, C)
        logits -= logits.max(1, keepdims=True)
        chosen = logits[np.arange(len(logits)), self.labels].astype(np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(1, keepdims=True)
        value = float((np.log(total[:, 0].astype(np.float64)) - chosen).mean())
        error = logits / total - self.onehot
        gradient = np.empty(theta.shape)
        gradient[:-1] = self.rows.T @ error
        gradient[-1] = error.sum(0, dtype=np.float64)
        return value, gradient / len(logits)

    def _binary_loss(self, theta: Floats) -> tuple[float, Floats]:
        """The same of two classes, whose softmax only knows their difference: a third of the time."""
        from scipy.special import expit

        difference = (theta[:, 1] - theta[:, 0]).astype(self.rows.dtype)
        margin = self.rows @ difference[:-1] + difference[-1]  # (n,)
        value = float(np.logaddexp(0, np.where(self.labels == 1, -margin, margin), dtype=np.float64).mean())
        error = expit(margin) - self.onehot[:, 1]
        slope = np.append(self.rows.T @ error, error.sum(dtype=np.float64)) / len(margin)
        return value, np.stack([-slope, slope], axis=1)


def _rotate(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows in the eigenbasis (N, k), mean square of each coordinate (k,), and the way back (D, k)."""
    n, width = z.shape
    gram = z @ z.T if n <= width else z.T @ z
    spectrum, vectors = np.linalg.eigh(gram)
    kept = spectrum > 1e-9 * max(float(spectrum[-1]), np.finfo(float).tiny)
    spectrum, vectors = spectrum[kept], vectors[:, kept]
    if n <= width:
        rows = vectors * np.sqrt(spectrum)
        return rows, spectrum / n, (z.T @ vectors) / np.sqrt(spectrum)
    return z @ vectors, spectrum / n, vectors


def _threads(cells: int) -> AbstractContextManager[Any]:
    """One BLAS thread for small products: numpy's and scipy's thread pools wait for each other (2-6 x slower)."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1, user_api="blas") if cells < THREADED_CELLS else nullcontext()
