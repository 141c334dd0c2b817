"""One task on one data set with one backbone: what heads, stages and controls work on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.backbones.backbone import Backbone
from headstart.data.label_sets import members
from headstart.features import Features
from headstart.types import Dataset

Rows = NDArray[np.int64]


def spread_evenly(rows: Rows, limit: int) -> Rows:
    """At most `limit` of the rows, at even distances."""
    positions = np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int))
    return np.asarray(rows[positions])


@dataclass
class Problem:
    """Rows everywhere are positions in dataset.examples.

    labels: (N,) class indices (zeros where targets are texts). groups: (N,) group indices.
    features: cached outputs of the backbone's prefix for all of dataset.examples that were extracted.
    memo: results that do not depend on training, kept between calls (an untouched model's outputs).
    """

    dataset: Dataset
    backbone: Backbone
    features: Features
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    seed: int
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        return len(self.dataset.classes)

    def inputs(self, rows: Rows, cut: str | None, views: Sequence[str] | None = None) -> tuple[torch.Tensor, ...]:
        """What the network behind this cut takes for these rows: cached states, or the inputs themselves for None.

        views: one for each row; the plain one where left out.
        """
        if cut is not None:
            return self.backbone.batch_state(cut, self.features.states(rows, cut, views))
        chosen = views or [self.backbone.views[0]] * len(rows)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            items = pool.map(self.backbone.encode, [self.dataset.examples[r] for r in rows], chosen)
            return self.backbone.batch_state(None, list(items))

    def label_sets(self, rows: Rows) -> NDArray[np.bool_]:
        """Which classes each of these rows has, (n, C), where an example may have several."""
        if "label_sets" not in self.memo:
            self.memo["label_sets"] = members(self.dataset.examples, self.dataset.classes)
        found: NDArray[np.bool_] = self.memo["label_sets"][rows]
        return found

    def targets(self, rows: Rows) -> list[str]:
        """Target names or texts of these rows."""
        return [self.dataset.examples[r].target or "" for r in rows]
