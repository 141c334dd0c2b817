"""Inputs come in order, few of them wait, and a fault shows when its turn comes."""

from __future__ import annotations

import threading
import time

import pytest

from headstart.stock.ahead import read_ahead


def test_everything_comes_once_and_in_order() -> None:
    def read(value: str) -> int:
        time.sleep(0.002 * (int(value) % 3))  # later ones are often ready first
        return int(value)

    assert list(read_ahead(read, [str(i) for i in range(30)], 4)) == list(range(30))
    assert list(read_ahead(read, [], 4)) == []


def test_never_more_than_allowed_are_waiting() -> None:
    lock, begun = threading.Lock(), 0

    def read(value: str) -> str:
        nonlocal begun
        with lock:
            begun += 1
        return value

    for taken, _ in enumerate(read_ahead(read, ["x"] * 40, 5)):
        time.sleep(0.002)
        assert begun <= taken + 1 + 5


def test_a_fault_is_raised_in_its_turn() -> None:
    def read(value: str) -> str:
        if value == "bad":
            raise OSError("broken file")
        return value

    ready = read_ahead(read, ["a", "bad", "b"], 8)
    assert next(ready) == "a"
    with pytest.raises(OSError, match="broken file"):
        next(ready)
