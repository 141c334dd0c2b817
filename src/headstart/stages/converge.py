"""Train from random weights until more epochs do not help, then with all rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart.budget import Clock
from headstart.data.folds import grouped_folds
from headstart.heads.head import Tunable
from headstart.problem import Rows
from headstart.stages.answers import CLOSING_S
from headstart.stages.from_random import FromRandom, Timeline, scored_rows
from headstart.types import Reporter

FIRST_EPOCHS, FIRST_STEPS = 5, 25  # at least, of the first round; each has twice the epochs of the one before
VALIDATION_PARTS = 6  # one of them is held back while the number of epochs is chosen
ENOUGH = 0.01  # a round must lower the validation loss by this share, or more epochs do not help
LOWER_RATE = 0.2  # of the recipe's rate, tried beside it until a network learns: deep ones without shortcuts need it
MOST_EPOCHS_IN_VAIN = 160  # of a round: a network that has learnt nothing until then will not
ROUND_SHARE = 0.4  # of the seconds left, that a round may take; the last training must fit too
ANSWERS_SHARE = 0.25  # of the seconds left, kept back for answers where these are texts
TOLD = ("epochs", "rate", "seconds", "loss", "score", "stopped")
MARKS = 8  # points of the curve for each round, in even ratios of its seconds


@dataclass
class Converged:
    """A network trained from random weights.

    labels: that it learnt from: all, or those of its best round where there was no time for all. epochs, rate: of the
    round with the lowest validation loss. temperature: by the validation rows. has_learnt: whether that loss is below
    the one before any training. is_converged: whether it has, and more epochs did not help; otherwise time ended.
    rounds: what each took and reached. points: score against seconds, of the best round.
    """

    module: Tunable
    labels: int
    epochs: int
    rate: float
    temperature: float
    has_learnt: bool
    is_converged: bool
    rounds: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, float]] = field(default_factory=list)


def converge(random: FromRandom, rows: Rows, clock: Clock, reporter: Reporter) -> Converged | str:
    """Rounds of 5, 10, 20, … epochs from new random weights, each with a whole schedule; or why not even one fits.

    Until one has learnt, rounds from the second on are run at a lower rate as well.
    """
    problem, head = random.problem, random.task.head
    kept_back = CLOSING_S + ANSWERS_SHARE * clock.left() if random.writes else 0.0

    def left() -> float:
        return clock.left() - kept_back

    parts = grouped_folds(problem.labels[rows], problem.groups[rows], VALIDATION_PARTS, problem.seed + 6)
    learnt, held = rows[parts != 0], rows[parts == 0]
    step_s = random.seconds_per_step(learnt)
    steps = random.steps_per_epoch(learnt)
    epoch_s = step_s * steps
    nothing_learnt = head.dev_loss(problem, random.build(problem.seed), held)
    best: dict[str, Any] | None = None
    rounds: list[dict[str, Any]] = []
    epochs, has_learnt, is_converged = max(FIRST_EPOCHS, math.ceil(FIRST_STEPS / steps)), False, False
    while has_learnt or epochs <= MOST_EPOCHS_IN_VAIN:
        fitting = int(ROUND_SHARE * left() / epoch_s)
        if fitting < epochs:
            if rounds or fitting < 1:
                break
            epochs = fitting
        found = _round(random, learnt, held, epochs, epochs * epoch_s, left, reporter)
        rounds.append({k: v for k, v in found.items() if k in TOLD})
        is_converged = has_learnt and best is not None and found["loss"] > (1 - ENOUGH) * best["loss"]
        best = found if best is None else min(best, found, key=lambda r: r["loss"])
        if is_converged:
            break
        has_learnt = best["loss"] < (1 - ENOUGH) * nothing_learnt
        if not has_learnt and len(rounds) > 1 and random.rate == 1.0:
            random = random.at(LOWER_RATE)  # as many epochs once more
        else:
            random = random.at(best["rate"] if has_learnt else 1.0)
            epochs *= 2
    if best is None:
        return f"one epoch takes about {epoch_s:.0f} s, and {max(left(), 0):.0f} s are left for all of them"
    random = random.at(best["rate"])
    temperature = 1.0 if best["outputs"] is None else head.calibrate(problem, best["outputs"], held)
    module, labels = best["module"], len(learnt)
    if left() > best["seconds"] * len(rows) / len(learnt):
        whole = random.build(problem.seed)
        last = random.fit(whole, rows, best["epochs"], reporter, "From random weights, all rows", _ended(left))
        if not last.stopped:  # what is cut short has hardly left its random weights
            module, labels = whole, len(rows)
    return Converged(
        module, labels, best["epochs"], best["rate"], temperature, has_learnt, is_converged, rounds, best["points"]
    )


def _round(
    random: FromRandom,
    learnt: Rows,
    held: Rows,
    epochs: int,
    seconds: float,
    left: Callable[[], float],
    reporter: Reporter,
) -> dict[str, Any]:
    """One training with a whole schedule; its curve, and its answers to held rows, where these are no texts."""
    module, shown = random.build(random.problem.seed), scored_rows(held)
    marks = np.geomspace(seconds / 2**MARKS, seconds, MARKS + 1)[:-1].tolist()
    score = None if random.writes else lambda: random.score(random.outputs(module, shown), shown)
    timeline = Timeline(marks, score)
    what = f"From random weights, {epochs} epoch{'s' if epochs != 1 else ''}"
    trained = random.fit(module, learnt, epochs, reporter, what, _ended(left), timeline)
    outputs = None if random.writes else random.outputs(module, held)
    loss = random.task.head.dev_loss(random.problem, module, held)
    return {
        "epochs": epochs,
        "rate": random.rate,
        "seconds": timeline.seconds,
        "loss": loss,
        "score": None if outputs is None else random.score(outputs, held),
        "stopped": trained.stopped,
        "outputs": outputs,
        "module": module,
        "points": [{"seconds": p.seconds, "value": p.value} for p in timeline.points],
    }


def _ended(left: Callable[[], float]) -> Callable[[], bool]:
    return lambda: left() <= 0
