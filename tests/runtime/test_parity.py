"""Answers are compared relative to their size, at other sizes than the sample's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.runtime.parity import difference, resized


def test_the_largest_difference_over_all_outputs_counts() -> None:
    expected = [np.array([0.0, 4.0], np.float32), np.array([10.0], np.float32)]
    assert difference([np.array([1.0, 4.0], np.float32), np.array([11.0], np.float32)], expected) == 0.25
    assert difference(expected, expected) == 0.0


@pytest.mark.parametrize(("ours", "result"), [
    (np.zeros((2, 1), np.float32), float("inf")),  # would broadcast
    (np.array([np.nan, 1.0], np.float32), float("nan")),
], ids=["shape", "nan"])  # fmt: skip
def test_other_shapes_and_nan_never_agree(ours: np.ndarray, result: float) -> None:
    expected = [np.ones(2, np.float32), np.ones(2, np.float32)]
    np.testing.assert_equal(difference([ours, expected[1]], expected), result)


@pytest.mark.parametrize(("rows", "tokens", "wanted"), [
    (8, 64, (6, 48)), (2, 4, (1, 3)), (1, 2, (2, 3)),
])  # fmt: skip
def test_every_dynamic_axis_gets_another_size(rows: int, tokens: int, wanted: tuple[int, int]) -> None:
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("tokens", min=2, max=64)}
    sample = {"ids": np.arange(rows * tokens * 3).reshape(rows, tokens, 3), "fixed": np.zeros(5)}
    changed = resized(sample, {"ids": dims, "fixed": None}, 0.75)
    assert changed["ids"].shape == (*wanted, 3)
    assert changed["fixed"].shape == (5,)
    both = min(rows, wanted[0]), min(tokens, wanted[1])
    np.testing.assert_array_equal(changed["ids"][: both[0], : both[1]], sample["ids"][: both[0], : both[1]])
