"""From random weights to the end: what is compared has had its whole schedule."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.stages.answers import CLOSING_S
from headstart.stages.converge import LOWER_RATE, Converged, converge
from headstart.stages.from_random import WRITTEN, FromRandom, Timeline
from headstart.types import Silent

ROWS = 60
LEARNT = 50  # of them, while a sixth is held back


class Random:
    """A training takes a second for every 10 rows and epoch; more epochs lower the loss until there are ten."""

    def __init__(self, left: float, slow: float = 1.0) -> None:
        self.clock = SimpleNamespace(left=lambda: self.seconds)
        self.seconds, self.slow, self.trained = left, slow, list[tuple[int, int, bool]]()
        self.rates: list[float] = []
        self.problem = SimpleNamespace(labels=np.arange(ROWS) % 2, groups=np.arange(ROWS), seed=0)
        self.rate, self.needs_rate, self.writes = 1.0, (0.0, 1.0), False
        head = SimpleNamespace(calibrate=lambda *a: 1.0, dev_loss=lambda problem, module, rows: 1.0 / module.epochs)
        self.task = SimpleNamespace(head=head)

    def at(self, rate: float) -> Any:
        self.rate = rate
        return self

    def build(self, seed: int) -> Any:
        return SimpleNamespace(epochs=1)

    def seconds_per_step(self, rows: Any) -> float:
        return 1.0

    def steps_per_epoch(self, rows: Any) -> int:
        return len(rows) // 10

    def fit(self, module: Any, rows: Any, epochs: int, reporter: Any, what: str, out_of_time: Any,
            timeline: Any = None) -> Any:  # fmt: skip
        seconds = self.slow * epochs * len(rows) / 10
        stopped = "out of time" if seconds > self.seconds else ""
        self.seconds, self.out_of_time = self.seconds - seconds, out_of_time
        module.epochs = min(epochs, 10) if self.needs_rate[0] <= self.rate <= self.needs_rate[1] else 1
        self.rates.append(self.rate)
        self.trained.append((len(rows), epochs, bool(stopped)))
        if timeline is not None:
            timeline.seconds = seconds
        return SimpleNamespace(stopped=stopped)

    def outputs(self, module: Any, rows: Any) -> Any:
        return np.zeros(len(rows))

    def score(self, outputs: Any, rows: Any) -> float:
        return 0.5


def found_by(random: Any) -> Converged:
    found = converge(random, np.arange(ROWS), random.clock, Silent())
    assert isinstance(found, Converged)
    return found


def test_rounds_double_until_more_epochs_do_not_help_and_then_all_rows_are_learnt() -> None:
    random = Random(1000.0)
    found = found_by(random)
    assert random.trained == [(LEARNT, 5, False), (LEARNT, 10, False), (LEARNT, 20, False), (ROWS, 10, False)]
    assert (found.is_converged, found.has_learnt, found.epochs, found.labels) == (True, True, 10, ROWS)
    assert random.rates == [1.0] * 4
    assert all(set(r) == {"epochs", "rate", "seconds", "loss", "score", "stopped"} for r in found.rounds)


def test_a_network_that_learns_nothing_is_tried_at_a_lower_rate() -> None:
    random = Random(10_000.0)
    random.needs_rate = 0.0, LOWER_RATE
    found = found_by(random)
    assert [t[1] for t in random.trained] == [5, 10, 10, 20, 10]  # the last one learns from all rows
    assert random.rates == [1.0, 1.0, LOWER_RATE, LOWER_RATE, LOWER_RATE]
    assert (found.is_converged, found.has_learnt, found.rate, found.epochs) == (True, True, LOWER_RATE, 10)


def test_what_never_learns_has_not_converged() -> None:
    random = Random(100_000.0)
    random.needs_rate = 2.0, 2.0
    found = found_by(random)
    assert [t[1] for t in random.trained[:-1]] == [5, 10, 10, 20, 20, 40, 40, 80, 80, 160, 160]
    assert (found.is_converged, found.has_learnt) == (False, False)


def test_a_small_data_set_has_more_epochs_in_the_first_round(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(10_000.0)
    monkeypatch.setattr(random, "steps_per_epoch", lambda rows: 2)
    found_by(random)
    assert random.trained[0][1] == 13  # 26 steps


@pytest.mark.parametrize(("left", "slow", "trained"), [
    (70.0, 2.0, [(LEARNT, 5, False)]),  # twice as slow as foreseen: 20 s are left, and the last one would take 60
    (100.0, 1.7, [(LEARNT, 5, False), (ROWS, 5, False)]),
])  # fmt: skip
def test_without_time_for_all_rows_the_best_round_s_network_counts(
    left: float, slow: float, trained: list[tuple[int, int, bool]]
) -> None:
    random = Random(left, slow)
    found = found_by(random)
    assert random.trained == trained and not found.is_converged
    assert found.labels == trained[-1][0] and found.module.epochs == 5


def test_a_last_training_that_is_cut_short_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    random: Any = Random(70.0)
    fit = random.fit

    def slower(module: Any, rows: Any, *rest: Any) -> Any:
        random.slow = 3.0 if len(rows) == ROWS else 1.0
        return fit(module, rows, *rest)

    monkeypatch.setattr(random, "fit", slower)
    found = found_by(random)
    assert random.trained[-1] == (ROWS, 5, True) and found.labels == LEARNT and found.module.epochs == 5


def test_texts_are_written_once_and_their_time_is_kept_back() -> None:
    def answered(*args: Any) -> Any:
        raise AssertionError("an untrained network's texts have no end")

    random: Any = Random(400.0)
    random.writes, random.outputs = True, answered
    found = found_by(random)
    assert found.rounds[0]["score"] is None and not found.points
    # 292 s for training: after 5 and 10 epochs of 5 s each 217 are left, and 20 epochs take more than 0.4 of them
    assert [t[1] for t in random.trained] == [5, 10, 10]
    ended = []
    for random.seconds in (99 + CLOSING_S, 101 + CLOSING_S):  # a quarter of 400 s
        ended.append(random.out_of_time())
    assert ended == [True, False]


def test_as_many_texts_are_written_as_the_time_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, seconds = np.arange(100, 200), [1.0]
    problem, task = SimpleNamespace(seed=0), SimpleNamespace(decision_rows=50)
    random = FromRandom(task, problem)  # type: ignore[arg-type]
    monkeypatch.setattr(
        FromRandom, "outputs", lambda self, module, rows: np.array([f"row {r}" for r in rows], dtype=object)
    )
    module: Any = None
    outputs, positions = random.answers(module, rows, lambda: seconds[0])
    assert positions.tolist() == list(range(100)) and outputs.tolist() == [f"row {r}" for r in rows]
    outputs, positions = random.answers(module, rows, lambda: -1.0)
    assert len(positions) == WRITTEN and (np.diff(positions) > 0).all() and positions.max() >= WRITTEN
    assert outputs.tolist() == [f"row {rows[p]}" for p in positions]


def test_a_timeline_without_scores_counts_seconds() -> None:
    timeline = Timeline([], None)
    timeline.step()
    timeline.step(end=True)
    assert not timeline.points and timeline.seconds > 0
