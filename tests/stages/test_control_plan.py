"""The control's sizes: at most what its share of the budget allows, in steps that a later run finds again."""

from __future__ import annotations

import pytest

from headstart.stages.control_plan import _rounded


def test_sizes_come_in_steps_of_a_root_of_two() -> None:
    affordable, sizes = (50.0, 70.0, 71.0, 99.9, 100.0, 145.0, 900.0), [50, 50, 70, 70, 100, 141, 800]
    assert [_rounded(n, 1000, 50) for n in affordable] == sizes
    assert _rounded(320.0, 1000, 50) == _rounded(390.0, 1000, 50) == 282


@pytest.mark.parametrize(
    ("affordable", "most", "size"),
    [(49.9, 1000, 0), (-3.0, 1000, 0), (50.0 - 1e-9, 1000, 50), (1200.0, 1000, 1000), (45.0, 40, 40), (30.0, 40, 0)],
)
def test_all_there_are_is_no_step_and_too_few_is_none(affordable: float, most: int, size: int) -> None:
    assert _rounded(affordable, most, 50) == size
