"""Which cuts become the ladder's depths, and how states of different lengths become a batch."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.backbones.graph_cut import Cut
from headstart.backbones.places import depths_of, padded


def cuts(units: int) -> list[Cut]:
    """A network of equal units: one cut between two of them."""
    return [Cut(f"block.{i}", i, (), 1 - i / units, 1 - i / units) for i in range(1, units)]


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (2, {"block": "block.1"}),
        (3, {"block": "block.2"}),
        (6, {"block": "block.5", "third": "block.4"}),
        (7, {"block": "block.6", "third": "block.5"}),
        (12, {"block": "block.11", "third": "block.8"}),
    ],
)
def test_last_block_last_third_and_everything(units: int, expected: dict[str, str]) -> None:
    depths = depths_of(cuts(units), 0.0, "block")
    assert {d.name: d.cut for d in depths} == {**expected, "all": None}


def test_a_last_block_with_too_few_parameters_is_passed_over() -> None:
    small_end = [Cut("a", 1, (), 0.6, 0.5), Cut("b", 2, (), 0.3, 0.2), Cut("c", 3, (), 0.01, 0.1)]
    assert depths_of(small_end, 0.05, "block")[0].cut == "b"
    # none is large enough: the first that there is
    assert depths_of(small_end[2:], 0.05, "block")[0].cut == "c"


def test_no_cut_no_depth() -> None:
    assert depths_of([], 0.05, "block") == ()


def test_states_are_padded_with_zeros_on_every_ragged_axis() -> None:
    short, long = np.ones((1, 2), np.float32), np.full((3, 2), 2, np.float16)
    batch = padded([short, long])
    assert batch.shape == (2, 3, 2)
    assert batch[0].tolist() == [[1, 1], [0, 0], [0, 0]]
    assert batch[1].tolist() == [[2, 2]] * 3
    square = padded([np.ones((1, 1), np.float32), np.ones((2, 2), np.float32)])
    assert square[0].tolist() == [[1, 0], [0, 0]]
