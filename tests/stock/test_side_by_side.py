"""Parts come in order, few of them wait, a fault shows when its turn comes, and torch is left as it was."""

from __future__ import annotations

import os
import threading
import time

import pytest
import torch

from headstart.stock.side_by_side import side_by_side


def test_everything_comes_once_and_in_order() -> None:
    def work(part: int) -> int:
        time.sleep(0.002 * (part % 3))  # later ones are often ready first
        return part

    assert list(side_by_side(work, range(30))) == list(range(30))
    assert list(side_by_side(work, [7])) == [7]
    assert list(side_by_side(work, [])) == []


def test_never_more_than_allowed_are_waiting() -> None:
    lock, begun = threading.Lock(), 0

    def work(part: str) -> str:
        nonlocal begun
        with lock:
            begun += 1
        return part

    for taken, _ in enumerate(side_by_side(work, ["x"] * 40)):
        time.sleep(0.002)
        assert begun <= taken + 1 + (os.cpu_count() or 1)


def test_a_fault_is_raised_in_its_turn() -> None:
    def work(part: str) -> str:
        if part == "bad":
            raise OSError("broken file")
        return part

    ready = side_by_side(work, ["a", "bad", "b"])
    assert next(ready) == "a"
    with pytest.raises(OSError, match="broken file"):
        next(ready)


def test_torch_computes_on_one_thread_inside_and_as_before_outside() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert set(side_by_side(lambda part: torch.get_num_threads(), range(4))) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
