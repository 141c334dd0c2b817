"""Train from random weights until more epochs do not help, then with all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart.budget import Clock
from headstart.data.folds import grouped_folds
from headstart.heads.head import Tunable
from headstart.problem import Rows
from headstart.stages.from_random import FromRandom, Timeline, scored_rows
from headstart.types import Reporter

FIRST_EPOCHS = 5  # each round has twice the epochs of the one before
VALIDATION_PARTS = 6  # one of them is held back while the number of epochs is chosen
ENOUGH = 0.01  # a round must lower the validation loss by this share, or more epochs do not help
ROUND_SHARE = 0.4  # of the seconds left, that a round may take; the last training must fit too
MARKS = 8  # points of the curve for each round, in even ratios of its seconds


@dataclass
class Converged:
    """A network trained from random weights.

    labels: that it learnt from: all, or those of its best round where there was no time for all. epochs: of the round
    with the lowest validation loss. temperature: by the validation rows. is_converged: whether more epochs did not
    help; otherwise time ended. rounds: what each took and reached. points: score against seconds, of the longest round.
    """

    module: Tunable
    labels: int
    epochs: int
    temperature: float
    is_converged: bool
    rounds: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, float]] = field(default_factory=list)


def converge(random: FromRandom, rows: Rows, clock: Clock, reporter: Reporter) -> Converged | str:
    """Rounds of 5, 10, 20, … epochs from new random weights, each with a whole schedule; or why not even one fits."""
    problem, head = random.problem, random.task.head
    parts = grouped_folds(problem.labels[rows], problem.groups[rows], VALIDATION_PARTS, problem.seed + 6)
    learnt, held = rows[parts != 0], rows[parts == 0]
    step_s = random.seconds_per_step(learnt)
    epoch_s = step_s * random.steps_per_epoch(learnt)
    best: dict[str, Any] | None = None
    rounds: list[dict[str, Any]] = []
    points: list[dict[str, float]] = []
    epochs, is_converged = FIRST_EPOCHS, False
    while True:
        fitting = int(ROUND_SHARE * clock.left() / epoch_s)
        if fitting < epochs:
            if rounds or fitting < 1:
                break
            epochs = fitting
        found, points = _round(random, learnt, held, epochs, epochs * epoch_s, clock, reporter)
        rounds.append({k: v for k, v in found.items() if k not in ("outputs", "module")})
        if best is not None and found["loss"] > (1 - ENOUGH) * best["loss"]:
            is_converged = True
            best = min(best, found, key=lambda r: r["loss"])
            break
        best, epochs = found, 2 * epochs
    if best is None:
        return f"one epoch takes about {epoch_s:.0f} s, and {max(clock.left(), 0):.0f} s are left"
    temperature = head.calibrate(problem, best["outputs"], held)
    module, labels = best["module"], len(learnt)
    if clock.left() > best["seconds"] * len(rows) / len(learnt):
        whole = random.build(problem.seed)
        last = random.fit(whole, rows, best["epochs"], reporter, "From random weights, all rows", _ended(clock))
        if not last.stopped:  # what is cut short has hardly left its random weights
            module, labels = whole, len(rows)
    return Converged(module, labels, best["epochs"], temperature, is_converged, rounds, points)


def _round(
    random: FromRandom, learnt: Rows, held: Rows, epochs: int, seconds: float, clock: Clock, reporter: Reporter
) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """One training with a whole schedule; its curve."""
    module, shown = random.build(random.problem.seed), scored_rows(held)
    marks = np.geomspace(seconds / 2**MARKS, seconds, MARKS + 1)[:-1].tolist()
    timeline = Timeline(marks, lambda: random.score(random.outputs(module, shown), shown))
    what = f"From random weights, {epochs} epochs"
    trained = random.fit(module, learnt, epochs, reporter, what, _ended(clock), timeline)
    outputs = random.outputs(module, held)
    loss = random.task.head.dev_loss(random.problem, module, held)
    found = {
        "epochs": epochs,
        "seconds": timeline.seconds,
        "loss": loss,
        "score": random.score(outputs, held),
        "stopped": trained.stopped,
        "outputs": outputs,
        "module": module,
    }
    return found, [{"seconds": p.seconds, "value": p.value} for p in timeline.points]


def _ended(clock: Clock) -> Callable[[], bool]:
    return lambda: clock.left() <= 0
