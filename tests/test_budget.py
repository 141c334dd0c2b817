"""The one clock: it counts from the process's start, and leaves downloads out."""

from __future__ import annotations

import time

import pytest

from headstart import budget
from headstart.budget import Clock, seconds_since_process_start


class Hand:
    """Time that moves when told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    made = Hand()
    monkeypatch.setattr(budget, "time", made)
    return made


def test_spent_and_left(hand):
    clock = Clock(60, already_spent=5)
    hand.now += 10
    assert (clock.spent(), clock.left()) == (15, 45)
    hand.now += 50
    assert clock.left() == -5


def test_downloads_are_excluded_even_when_they_fail(hand):
    clock = Clock(60)
    with pytest.raises(OSError, match="lost"), clock.downloading():
        hand.now += 30
        raise OSError("connection lost")
    hand.now += 2
    assert clock.spent() == 2


def test_stages_add_up_and_leave_downloads_out(hand):
    clock = Clock(60)
    for _ in range(2):
        with clock.stage("select"):
            hand.now += 3
            with clock.downloading():
                hand.now += 100
    with pytest.raises(KeyboardInterrupt), clock.stage("tune"):
        hand.now += 4
        raise KeyboardInterrupt
    assert clock.stages == {"select": 6, "tune": 4}


def test_the_process_has_existed_for_a_while():
    first = seconds_since_process_start()
    time.sleep(0.05)
    assert 0 < first < seconds_since_process_start() < 24 * 3600


def test_where_the_system_does_not_tell_the_clock_starts_now(monkeypatch):
    def refuse(self: object) -> str:
        raise OSError

    monkeypatch.setattr(budget.Path, "read_text", refuse)
    assert seconds_since_process_start() == 0
