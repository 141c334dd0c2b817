"""Where standard error is no terminal, progress is plain lines with the time spent and the time left."""

from __future__ import annotations

import pytest

from headstart import budget
from headstart.budget import Clock
from headstart.cli import progress
from headstart.cli.progress import PlainReporter, TerminalReporter, make_reporter
from headstart.types import Silent


class Hand:
    """Time that moves when told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    made = Hand()
    monkeypatch.setattr(budget, "time", made)
    monkeypatch.setattr(progress, "time", made)
    return made


def test_a_sentence_carries_the_time_spent_and_the_budget(hand: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = PlainReporter(Clock(300, already_spent=5))
    hand.now += 7
    reporter.say("Loading the model")
    told = capsys.readouterr()
    assert told.err == "[  12 s of 300] Loading the model\n"
    assert told.out == ""


def test_a_stage_tells_the_time_left(hand: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    items = []
    for item in PlainReporter(Clock(300)).track("abcd", "Features"):
        items.append(item)
        hand.now += 6
    assert items == list("abcd")
    lines = capsys.readouterr().err.splitlines()
    # 6 s each: a line at most every 10 s, so after the second and the fourth
    assert lines == [
        "[  12 s of 300] Features: 2 of 4, about 12 s left",
        "[  24 s of 300] Features: 4 of 4, about 0 s left",
        "[  24 s of 300] Features: 4 done in 24.0 s",
    ]


def test_a_quick_stage_takes_one_line(hand: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(PlainReporter(None).track(iter(range(50)), "Reading")) == list(range(50))
    assert capsys.readouterr().err == "Reading: 50 done in 0.0 s\n"


def test_a_total_given_beside_an_iterator_is_used(hand: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in PlainReporter(None).track(iter("ab"), "Tuning", 2):
        hand.now += 11
    assert "Tuning: 1 of 2, about 11 s left" in capsys.readouterr().err


def test_the_reporter_fits_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert isinstance(make_reporter(), PlainReporter)
    assert isinstance(make_reporter(quiet=True), Silent)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert isinstance(make_reporter(), TerminalReporter)
