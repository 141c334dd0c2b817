"""How alike two sets of features of the same rows are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError


def linear_cka(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Linear centred kernel alignment, 0 (nothing in common) to 1 (equal up to rotation, scale and shift).

    first: (N, D). second: (N, E). Features that do not vary agree with nothing: 0.
    Raises DataError for fewer than two rows, or different numbers of them.
    Source: Kornblith et al. 2019.
    """
    if len(first) != len(second) or len(first) < 2:
        raise DataError(f"Features of the same two or more rows are compared; received {len(first)} and {len(second)}.")
    x = first - first.mean(0, dtype=np.float64)
    y = second - second.mean(0, dtype=np.float64)
    if len(x) <= min(x.shape[1], y.shape[1]):  # the Gram matrices are smaller
        a, b = x @ x.T, y @ y.T
        shared, alone = float((a * b).sum()), float(np.linalg.norm(a) * np.linalg.norm(b))
    else:
        shared = float(np.square(x.T @ y).sum())
        alone = float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    return shared / alone if alone > 0 else 0.0
