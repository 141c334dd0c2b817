"""Time one batch: the shortest of a few runs, within a small cap."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.runtime.engine import Batch, Run

MAX_RUNS = 3
MAX_SECONDS = 2.0
STABLE = 0.05  # relative difference of the two shortest runs
HOPELESS = 1.5  # times as long as the fastest: one run is enough to know


@dataclass(frozen=True)
class Timed:
    """seconds: of one run over the batch. answers: what it returned."""

    seconds: float
    answers: list[NDArray[np.float32]]


def time_run(
    run: Run, batch: Batch, beat: float = float("inf"), clock: Callable[[], float] = time.perf_counter
) -> Timed:
    """Run once to warm up, then until two runs agree, three are done or two seconds are spent.

    A first run that alone spends the cap counts itself: the planning hidden in it is a small part then.
    beat: seconds of the fastest way so far; one that takes half as long again is timed no further.
    """
    begin = clock()
    answers = run(batch)
    first = clock() - begin
    runs = [first] if first >= MAX_SECONDS else []
    while sum(runs) < MAX_SECONDS and len(runs) < MAX_RUNS and not _settled(runs, beat):
        begin = clock()
        run(batch)
        runs.append(clock() - begin)
    return Timed(max(min(runs), 1e-9), answers)


def _settled(runs: list[float], beat: float) -> bool:
    shortest = sorted(runs)[:2]
    if shortest and shortest[0] > HOPELESS * beat:
        return True
    return len(shortest) == 2 and shortest[1] - shortest[0] <= STABLE * shortest[1]
