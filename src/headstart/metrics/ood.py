"""How unlike the development rows an input is, by where its pooled features lie.

Mahalanobis distance to the nearest class mean, on features of unit length, with one covariance for all classes.
Sources: Lee et al. 2018 for the distance, Mueller and Hein 2025 for unit length, Ledoit and Wolf 2004 for shrinkage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError
from headstart.metrics.conformal import CalibrationScores

Floats = npt.NDArray[np.float64]

DIRECTIONS = 64  # with a variance of their own: as good as all of them (docs/log.md), and small beside a network
SMALLEST_VARIANCE = 1e-12
NO_WIDTH = 1e-8  # of the widest direction's variance: what has less is rounding, and has the others' mean variance
FLAGGED = 0.01  # share of inputs like the development rows that may be flagged


@dataclass(frozen=True)
class FeatureDistance:
    """means: (C, D), of unit-length features. directions: (k, D), orthonormal. variances: (k,), along these;
    rest_variance: along every other direction.
    """

    means: Floats
    directions: Floats
    variances: Floats
    rest_variance: float

    def distances(self, features: npt.NDArray[np.floating]) -> Floats:
        """Squared Mahalanobis distance (N,) of features (N, D) to the nearest class mean."""
        rows = unit_rows(features)
        nearest = np.full(len(rows), np.inf)
        for mean in self.means:
            away = rows - mean  # (N, D)
            along = away @ self.directions.T  # (N, k)
            rest = np.maximum((away**2).sum(1) - (along**2).sum(1), 0.0)
            nearest = np.minimum(nearest, (along**2 / self.variances).sum(1) + rest / self.rest_variance)
        return nearest


@dataclass(frozen=True)
class OodDetector:
    """distance: fitted to the development rows. calibration: their distances, each measured without its own fold."""

    distance: FeatureDistance
    calibration: CalibrationScores

    @property
    def level(self) -> float:
        """Share of inputs like the development rows that is flagged at most."""
        return max(FLAGGED, self.calibration.smallest_alpha)

    def p_values(self, features: npt.NDArray[np.floating]) -> Floats:
        """Probability (N,) that an input like the development rows lies at least as far out as features (N, D)."""
        return self.calibration.p_values(self.distance.distances(features))

    def flagged(self, p_values: Floats) -> npt.NDArray[np.bool_]:
        """Which inputs (N,) are out of distribution at this level."""
        return np.asarray(p_values <= self.level)

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        """Everything, by name, as a file holds it."""
        fitted = self.distance
        return {
            "means": fitted.means.astype(np.float32),
            "directions": fitted.directions.astype(np.float32),
            "variances": fitted.variances,
            "rest_variance": np.array([fitted.rest_variance]),
            "scores": self.calibration.scores,
            "shares": self.calibration.shares,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.floating]]) -> OodDetector:
        """The inverse of `arrays`. Raises KeyError where one is missing."""
        values = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
        fitted = FeatureDistance(
            values["means"], values["directions"], values["variances"], float(values["rest_variance"][0])
        )
        return cls(fitted, CalibrationScores(values["scores"], values["shares"]))


def fit_ood_detector(
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    groups: npt.NDArray[np.integer],
    folds: npt.NDArray[np.integer],
) -> OodDetector:
    """Fit the distance to all rows, and calibrate it by distances that were fitted without each fold.

    features: (N, D). labels, groups, folds: (N,); no group may lie in two folds.
    Raises DataError with fewer than two folds.
    """
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise DataError(f"Distances of held-out rows need two folds, received {len(numbers)}. Add examples.")
    held_out = np.zeros(len(features))
    for fold in numbers:
        out = folds == fold
        held_out[out] = fit_feature_distance(features[~out], labels[~out]).distances(features[out])
    return OodDetector(fit_feature_distance(features, labels), CalibrationScores.of(held_out, groups))


def fit_feature_distance(
    features: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], directions: int = DIRECTIONS
) -> FeatureDistance:
    """Class means and the shared, shrunk covariance around them.

    features: (N, D). labels: (N,), any values. directions: how many keep a variance of their own, the widest first;
    the others share their mean variance.
    """
    from scipy.linalg import eigh

    rows = unit_rows(features)
    _, code = np.unique(labels, return_inverse=True)
    means = np.stack([rows[code == c].mean(0) for c in range(code.max() + 1)])
    away = rows - means[code]
    n, width = away.shape
    # with fewer rows than columns the rows' products (N, N) have the same eigenvalues, but for zeros
    few = n < width
    products = (away @ away.T if few else away.T @ away) / n
    shrinkage, scale = ledoit_wolf(away, products), float(np.trace(products)) / width
    size, kept = len(products), min(directions, width, n)
    values, vectors = eigh(products, subset_by_index=(size - kept, size - 1))
    if few:
        wide = values > NO_WIDTH * max(values[-1], SMALLEST_VARIANCE)
        values = values[wide]
        vectors, kept = away.T @ vectors[:, wide] / np.sqrt(n * values), len(values)
    variances = np.maximum((1.0 - shrinkage) * values + shrinkage * scale, SMALLEST_VARIANCE)
    rest = (scale * width - float(values.sum())) / max(width - kept, 1)
    rest_variance = max((1.0 - shrinkage) * rest + shrinkage * scale, SMALLEST_VARIANCE)
    return FeatureDistance(means, np.ascontiguousarray(vectors.T), variances, rest_variance)


def ledoit_wolf(centred: Floats, covariance: Floats) -> float:
    """How far, 0..1, to shrink the covariance towards a multiple of the identity.

    centred: (N, D). covariance: (D, D), their mean outer product; or their inner products over N, (N, N), whose trace
    and sum of squares are the same.
    Source: Ledoit and Wolf 2004.
    """
    n, width = centred.shape
    squared = float((covariance**2).sum())
    spread = squared - float(np.trace(covariance)) ** 2 / width
    noise = (float(((centred**2).sum(1) ** 2).mean()) - squared) / n
    return 1.0 if spread <= 0 else float(np.clip(noise / spread, 0.0, 1.0))


def unit_rows(features: npt.NDArray[np.floating]) -> Floats:
    """Rows (N, D) at unit length; zeros stay zeros."""
    rows = np.asarray(features, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0))
