"""Ridge regression with exact leave-one-out and leave-group-out predictions for a whole path of penalties.

With the intercept unpenalised, residuals are R Y for a symmetric N x N matrix R, and the held-out residuals of a
block I of rows are R_II^-1 (R Y)_I: exact, without refitting. R is never formed; one eigendecomposition of the
smaller of X'X and XX' (float64: in float32 the tail of the spectrum is lost) gives its rows for every penalty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
T = TypeVar("T")

BLOCK_CELLS = 4_000_000
"""Most numbers in one batch of group blocks."""


@dataclass(frozen=True)
class RidgePath:
    """A decomposed ridge problem, ready for any of its penalties.

    lambdas: (L,) penalties on |W|^2 where the loss is the summed squared error.
    dual: whether the basis comes from XX' (N <= D + 1) or from X'X.
    basis: (N, k), orthonormal eigenvectors if dual, else projected rows. spectrum: (k,) squared singular values.
    directions: centred X (N, D) if dual, else eigenvectors (D, k).
    groups: (N,) block codes 0.. or None for single rows. bias: whether there is an intercept; without one nothing is
    centred.
    """

    lambdas: Floats
    dual: bool
    basis: Floats
    spectrum: Floats
    directions: Floats
    projected: Floats  # basis' Y: (k, K)
    x_mean: Floats
    y_mean: Floats
    targets: Floats  # (N, K)
    groups: Ints | None
    bias: bool = True

    def weights(self, index: int) -> tuple[Floats, Floats]:
        """W (K, D) and b (K,) of the fit to all rows with lambdas[index]: predictions are X W' + b."""
        inner = self.projected / (self.spectrum + self.lambdas[index])[:, None]  # (k, K)
        if self.dual:
            inner = self.basis @ inner  # (N, K)
        weight = (self.directions.T @ inner if self.dual else self.directions @ inner).T
        return weight, self.y_mean - weight @ self.x_mean

    def leave_one_out(self, index: int) -> Floats:
        """Predictions (N, K) for each row by the fit without that row (or without its whole group)."""
        residuals = self._residuals(index)
        held_out = residuals / np.maximum(self._diagonal(index), 1e-12)[:, None]
        if self.groups is not None:
            for rows in _blocks_by_size(self.groups):  # (G, m) row numbers of the groups with m > 1 rows
                step = max(1, BLOCK_CELLS // (rows.shape[1] * self.basis.shape[1] + rows.shape[1] ** 2))
                for start in range(0, len(rows), step):
                    block = rows[start : start + step]
                    held_out[block] = np.linalg.solve(self._block(index, block), residuals[block])
        return np.asarray(self.targets - held_out)

    def _factors(self, index: int) -> Floats:
        penalty = self.lambdas[index]
        return np.asarray((penalty if self.dual else 1.0) / (self.spectrum + penalty))

    def _residuals(self, index: int) -> Floats:
        part = self.basis @ (self._factors(index)[:, None] * self.projected)
        return np.asarray(part if self.dual else self.targets - self.y_mean - part)

    def _diagonal(self, index: int) -> Floats:
        part = (self.basis**2) @ self._factors(index)  # (N,)
        return part if self.dual else 1.0 - self._intercept_leverage - part

    @property
    def _intercept_leverage(self) -> float:
        return 1.0 / len(self.basis) if self.bias else 0.0

    def _block(self, index: int, rows: npt.NDArray[np.intp]) -> Floats:
        members = self.basis[rows]  # (G, m, k)
        part = (members * self._factors(index)) @ members.transpose(0, 2, 1)  # (G, m, m)
        return np.asarray(part if self.dual else np.eye(rows.shape[1]) - self._intercept_leverage - part)


def ridge_path(
    features: npt.NDArray[np.floating],
    targets: Floats,
    lambdas: Floats | None = None,
    groups: Ints | None = None,
    bias: bool = True,
) -> RidgePath:
    """Decompose once, so that every penalty is cheap.

    features: (N, D). targets: (N, K), one-hot or real. lambdas: (L,) > 0, or None for `default_lambdas`.
    groups: (N,) ints; rows with the same value are left out together. bias: fit an intercept, which is not penalised.
    Raises DataError with fewer than two rows or groups.
    Source: Allen 1974 (PRESS); block form checked against refitting in the tests.
    """
    n, width = features.shape
    codes = None if groups is None else np.unique(groups, return_inverse=True)[1]
    if n < 2 or (codes is not None and codes.max() == 0):
        raise DataError(f"Leaving rows out needs two rows or groups, received {n} rows in one group. Add examples.")
    y = np.asarray(targets, dtype=np.float64)
    x_mean = features.mean(0, dtype=np.float64) if bias else np.zeros(width)
    y_mean = y.mean(0) if bias else np.zeros(y.shape[1])
    centred = features - x_mean  # float64
    centred[:, np.abs(centred).max(0) <= 1e-12 * np.abs(x_mean)] = 0.0  # constant up to rounding
    dual = n <= width + 1
    spectrum, basis, directions = _dual(centred, bias) if dual else _primal(centred)
    return RidgePath(
        lambdas=default_lambdas(spectrum) if lambdas is None else np.asarray(lambdas, dtype=np.float64),
        dual=dual,
        basis=basis,
        spectrum=spectrum,
        directions=directions,
        projected=basis.T @ (y - y_mean),
        x_mean=x_mean,
        y_mean=y_mean,
        targets=y,
        groups=codes,
        bias=bias,
    )


def best_penalty(
    path: RidgePath, measure: Callable[[int], T], key: Callable[[T], Any] = lambda found: found
) -> tuple[int, T]:
    """The penalty's index with the lowest measure, and that measure: every third is tried, then those around the best.

    A held-out score is smooth in ln(lambda). key: of a measure, what is compared.
    """
    tried = {index: measure(index) for index in range(0, len(path.lambdas), 3)}
    centre = min(tried, key=lambda i: key(tried[i]))
    for index in range(max(centre - 2, 0), min(centre + 3, len(path.lambdas))):
        if index not in tried:
            tried[index] = measure(index)
    best = min(tried, key=lambda i: key(tried[i]))
    return best, tried[best]


def default_lambdas(spectrum: Floats) -> Floats:
    """25 penalties, weak to strong, from 1e-7 to 10 times the largest squared singular value."""
    top = float(spectrum.max()) if spectrum.size else 0.0
    return (top if top > 0 else 1.0) * np.logspace(-7, 1, 25)


def _primal(centred: Floats) -> tuple[Floats, Floats, Floats]:
    spectrum, vectors = np.linalg.eigh(centred.T @ centred)
    return np.maximum(spectrum, 0.0), centred @ vectors, vectors


def _dual(centred: Floats, bias: bool) -> tuple[Floats, Floats, Floats]:
    gram = centred @ centred.T
    if not bias:
        spectrum, vectors = np.linalg.eigh(gram)
        return np.maximum(spectrum, 0.0), vectors, centred
    # The constant direction belongs to the intercept. Lifted above the spectrum it comes out last and is dropped,
    # which leaves R = U diag(lambda / (s2 + lambda)) U' without the cancellation of 1 - h at weak penalties.
    lift = 2.0 * (np.trace(gram) or 1.0)
    spectrum, vectors = np.linalg.eigh(gram + lift / len(gram))
    spectrum = np.where(spectrum > len(gram) * np.finfo(float).eps * lift, spectrum, 0.0)
    return spectrum[:-1], vectors[:, :-1], centred


def _blocks_by_size(groups: Ints) -> list[npt.NDArray[np.intp]]:
    sizes = np.bincount(groups)
    order = np.argsort(groups, kind="stable")
    starts = np.cumsum(sizes) - sizes
    return [
        order[starts[sizes == size][:, None] + np.arange(size)]  # (G, m)
        for size in np.unique(sizes[sizes > 1])
    ]


def ridge_fit(features: Floats, targets: Floats, penalty: float, bias: bool = True) -> tuple[Floats, Floats]:
    """W (K, D) and b (K,) for one penalty: one Cholesky solve of the smaller side, no leave-one-out.

    Without bias b is zero.
    """
    from scipy.linalg import solve

    x_mean, y_mean = (features.mean(0), targets.mean(0)) if bias else (0.0 * features[0], 0.0 * targets[0])
    x, y = features - x_mean, targets - y_mean
    n, width = x.shape
    gram = x @ x.T if n <= width else x.T @ x
    gram[np.diag_indices_from(gram)] += penalty
    weight = (x.T @ solve(gram, y, assume_a="pos") if n <= width else solve(gram, x.T @ y, assume_a="pos")).T
    return weight, y_mean - weight @ x_mean
