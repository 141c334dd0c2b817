"""Do two engines give the same answers, at the sample's sizes and at others?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.runtime.engine import Batch

MAX_RELATIVE_ERROR = 1e-3


def difference(ours: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]) -> float:
    """Largest difference relative to the largest value of its output; infinite for other shapes, NaN stays NaN."""
    worst = [0.0]
    for our, wanted in zip(ours, expected, strict=True):
        if our.shape != wanted.shape:
            return float("inf")
        worst.append(float(np.abs(our - wanted).max() / (np.abs(wanted).max() or 1.0)))
    return float(np.max(worst))


def resized(sample: Batch, dynamic_shapes: dict[str, Any], share: float, least: int = 1) -> Batch:
    """The sample with another size on every dynamic axis: this share of it, or one more where that is no other size."""
    changed = dict(sample)
    for name, shape in dynamic_shapes.items():
        for axis, dim in (shape or {}).items():
            size = changed[name].shape[axis]
            wanted = max(int(size * share), least, getattr(dim, "min", None) or 1)
            wanted = wanted if wanted != size else size + 1
            changed[name] = np.take(changed[name], np.arange(wanted) % size, axis)
    return changed
