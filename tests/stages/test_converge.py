"""From random weights to the end: what is compared has had its whole schedule."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.stages.converge import Converged, converge
from headstart.types import Silent

ROWS = 60
LEARNT = 50  # of them, while a sixth is held back


class Random:
    """A training takes a second for every 10 rows and epoch; more epochs lower the loss until there are ten."""

    def __init__(self, left: float, slow: float = 1.0) -> None:
        self.clock = SimpleNamespace(left=lambda: self.seconds)
        self.seconds, self.slow, self.trained = left, slow, list[tuple[int, int, bool]]()
        self.problem = SimpleNamespace(labels=np.arange(ROWS) % 2, groups=np.arange(ROWS), seed=0)
        head = SimpleNamespace(calibrate=lambda *a: 1.0, dev_loss=lambda problem, module, rows: 1.0 / module.epochs)
        self.task = SimpleNamespace(head=head)

    def build(self, seed: int) -> Any:
        return SimpleNamespace(epochs=0)

    def seconds_per_step(self, rows: Any) -> float:
        return 1.0

    def steps_per_epoch(self, rows: Any) -> int:
        return len(rows) // 10

    def fit(self, module: Any, rows: Any, epochs: int, reporter: Any, what: str, out_of_time: Any,
            timeline: Any = None) -> Any:  # fmt: skip
        seconds = self.slow * epochs * len(rows) / 10
        stopped = "out of time" if seconds > self.seconds else ""
        self.seconds -= seconds
        module.epochs = min(epochs, 10)
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
    assert (found.is_converged, found.epochs, found.labels) == (True, 10, ROWS)
    assert all(set(r) == {"epochs", "seconds", "loss", "score", "stopped"} for r in found.rounds)


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
