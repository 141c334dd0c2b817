"""What happens to a feature row before the affine map: nothing, standardisation (folded away), or unit length."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Normalisation = Literal["raw", "standardised", "l2"]

QUIET = 1e-6
"""Share of the widest column's standard deviation below which a column counts as constant."""


def l2_rows(features: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Each row divided by its length (N, D); rows of zeros stay zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", features, features, dtype=np.float64))
    lengths[lengths == 0] = 1.0
    return np.asarray(features / lengths[:, None], dtype=features.dtype)


def standardise(features: npt.NDArray[np.floating], centre: bool = True) -> tuple[Floats, Floats, Floats]:
    """(z, mean, factor) with z = (features - mean) * factor, float64. Without centre the mean is taken for zero.

    factor is 1/std, and 0 for columns that get no weight: those constant up to rounding, and those whose spread is
    under QUIET of the widest. Pretrained networks have such dead channels (a normalisation gain that decayed to 1e-30);
    dividing by their spread gives weights near 1e30, exact in the logits and fatal as soon as anything is tuned below.
    """
    values = np.asarray(features, dtype=np.float64)
    mean = values.mean(0)
    deviation = values.std(0)
    if not centre:
        mean = np.zeros_like(mean)
    varies = deviation > np.maximum(1e-6 * np.abs(mean), QUIET * deviation.max(initial=0.0))
    factor = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0)
    return (values - mean) * factor, mean, factor


def normalised(
    features: npt.NDArray[np.floating], kind: Normalisation, centre: bool = True
) -> tuple[Floats, Floats, Floats]:
    """Rows as a fit sees them, with the mean and factor to fold back (0 and 1 unless standardised)."""
    if kind == "standardised":
        return standardise(features, centre)
    rows = np.asarray(l2_rows(features) if kind == "l2" else features, dtype=np.float64)
    return rows, np.zeros(rows.shape[1]), np.ones(rows.shape[1])


def fold_back(weight: Floats, bias: Floats, mean: Floats, factor: Floats) -> tuple[Floats, Floats]:
    """The map (C, D), (C,) on the original features that equals (weight, bias) on the standardised ones."""
    folded = weight * factor
    return folded, bias - folded @ mean
