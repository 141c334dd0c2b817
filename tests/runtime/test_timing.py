"""One batch is timed until two runs agree, at most three times, within two seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from headstart.runtime.engine import Batch
from headstart.runtime.timing import time_run


@pytest.mark.parametrize(("takes", "beat", "seconds", "runs"), [
    ((9.0,), 9.9, 9.0, 1),  # the first run alone spends the cap
    ((0.9, 0.10, 0.10), 0.1, 0.10, 3),  # warming up is not counted; two runs agree
    ((0.9, 0.30, 0.10, 0.20), 0.3, 0.10, 4),  # the shortest of three
    ((0.9, 1.5, 0.6), 1.5, 0.6, 3),  # two seconds are spent
    ((0.9, 0.32), 0.2, 0.32, 2),  # too far behind the fastest
    ((0.9, 0.28, 0.29), 0.2, 0.28, 3),  # behind, but not too far
], ids=["long", "stable", "unstable", "cap", "hopeless", "behind"])  # fmt: skip
def test_the_shortest_of_a_few_runs_counts(takes: Sequence[float], beat: float, seconds: float, runs: int) -> None:
    now = 0.0
    done = 0

    def run(batch: Batch) -> list[np.ndarray]:
        nonlocal now, done
        now += takes[done]
        done += 1
        return [np.full(2, done, dtype=np.float32)]

    timed = time_run(run, {}, beat, clock=lambda: now)
    assert timed.seconds == pytest.approx(seconds)
    assert done == runs
    assert timed.answers[0].tolist() == [1, 1]
