"""Records for the cache's tests, and stores that remember what they said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headstart.feature_store import FeatureStore, Record


def records(count: int, start: int = 0) -> dict[str, Record]:
    """pooled: 5 times the example's number. tokens: 0 to 3 tokens of 3 values. attention: (2, T, T)."""
    made: dict[str, Record] = {}
    for i in range(start, start + count):
        rng = np.random.default_rng(i)
        made[f"digest{i}"] = {
            "pooled": np.full(5, i, np.float32),
            "tokens": rng.normal(size=(i % 4, 3)).astype(np.float32),
            "attention": rng.normal(size=(2, i % 4, i % 4)).astype(np.float32),
        }
    return made


def open_store(folder: Path, **options: Any) -> tuple[FeatureStore, list[str]]:
    """A store and the list of what it says."""
    said: list[str] = []
    return FeatureStore(folder, said.append, **options), said


def same(store: FeatureStore, expected: dict[str, Record]) -> bool:
    """Whether the store gives exactly these arrays for these examples."""
    return all(
        store.read(digest, name).shape == array.shape and np.array_equal(store.read(digest, name), array)
        for digest, record in expected.items()
        for name, array in record.items()
    )
