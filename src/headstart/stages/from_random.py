"""Train the same network from random weights, with its score against the seconds of training."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.backbones.backbone import SCRATCH, Backbone
from headstart.errors import MachineError
from headstart.features import Features
from headstart.heads.head import Aim, Outputs, Tunable
from headstart.problem import Problem, Rows, spread_evenly
from headstart.tasks.task import Task
from headstart.training.loop import Trained, Watch, train
from headstart.types import Prediction, Reporter, Silent

SAMPLE = 32  # inputs that batch norm begins with
PACE_STEPS = 3
ALIKE = 8  # inputs of one length from which all are taken to be alike
SCORED_ROWS = 200  # at most, at each point of the curve
WRITTEN = 16  # answers that are written before the clock is looked at


@dataclass(frozen=True)
class Point:
    """seconds: of training, scoring left out. value: the headline metric on held-back rows."""

    seconds: float
    value: float


@dataclass
class Timeline:
    """The score against seconds of training. marks: seconds after which it is scored, ascending. score: None where
    that costs too much; then there are seconds alone.
    """

    marks: Sequence[float]
    score: Callable[[], float] | None
    points: list[Point] = field(default_factory=list)
    seconds: float = 0.0
    _last: float = field(default_factory=time.perf_counter)

    def step(self, end: bool = False) -> None:
        """Told of each step, and of the end of training."""
        self.seconds += time.perf_counter() - self._last
        is_due = end or (len(self.points) < len(self.marks) and self.seconds >= self.marks[len(self.points)])
        if is_due and self.score is not None:
            self.points.append(Point(self.seconds, self.score()))
        self._last = time.perf_counter()


@dataclass(frozen=True)
class FromRandom:
    """The task on the same network with random weights. problem: with that network, nothing cached. rate: factor on the
    recipe's learning rates.
    """

    task: Task
    problem: Problem
    rate: float = 1.0

    @property
    def writes(self) -> bool:
        """Whether answers are texts: they take long, and longest where nothing was learnt, as they do not end."""
        return self.task.decision_rows is not None

    def at(self, rate: float) -> FromRandom:
        """The same, trained at another rate."""
        return replace(self, rate=rate)

    def build(self, seed: int) -> Tunable:
        """A network with new random weights and a new head."""
        is_own = seed == self.problem.seed  # drawn from that seed already
        part = self.problem if is_own else replace(self.problem, backbone=_randomised(self.problem, seed), seed=seed)
        module = self.task.head.build(part, self.task.head.random_base(part), SCRATCH)
        return module.train()

    def seconds_per_step(self, rows: Rows) -> float:
        """Of a training step: the fastest of a few, because the first ones wait for memory.

        Raises MachineError where the machine has not enough of it.
        """
        module, ends = self.build(self.problem.seed), [time.perf_counter()]
        watch = Watch(on_step=lambda: ends.append(time.perf_counter()), out_of_time=lambda: len(ends) > PACE_STEPS)
        trained = self._train(module, rows, 1, watch)
        if not trained.steps:
            raise MachineError(f"The network cannot be trained from random weights here: {trained.stopped}.")
        return float(np.diff(ends).min())

    def steps_per_epoch(self, rows: Rows) -> int:
        """Batches of one pass over these rows."""
        return -(-len(rows) // self.problem.backbone.recipe(SCRATCH).batch_size)

    def fit(
        self,
        module: Tunable,
        rows: Rows,
        epochs: int,
        reporter: Reporter,
        what: str,
        out_of_time: Callable[[], bool],
        timeline: Timeline | None = None,
    ) -> Trained:
        """Train in place; ends in evaluation mode."""
        total = epochs * self.steps_per_epoch(rows)
        ticks: Iterator[int] = iter(reporter.track(range(total), what, total))
        next(ticks, None)

        def on_step() -> None:
            next(ticks, None)
            if timeline is not None:
                timeline.step()
                module.train()

        trained = self._train(module, rows, epochs, Watch(out_of_time=out_of_time, on_step=on_step))
        for _ in ticks:
            pass
        if timeline is not None:
            timeline.step(end=True)
        module.eval()
        return trained

    def lengths(self, rows: Rows) -> NDArray[np.int64] | None:
        """Of these rows, by position in the data set, so that batches hold similar ones; None where all are alike."""
        backbone, examples = self.problem.backbone, self.problem.dataset.examples

        def length(row: int) -> int:
            return backbone.length(backbone.encode(examples[row], backbone.views[0]))

        if len({length(row) for row in spread_evenly(rows, ALIKE)}) == 1:
            return None
        found = np.zeros(len(examples), dtype=np.int64)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found[rows] = list(pool.map(length, rows.tolist()))
        return found

    def outputs(self, module: Tunable, rows: Rows) -> Outputs:
        """What the network answers for these rows."""
        return self.task.head.outputs(self.problem, module, rows, Silent())

    def answers(self, module: Tunable, rows: Rows, left: Callable[[], float]) -> tuple[Outputs, NDArray[np.int64]]:
        """Outputs, and the positions of their rows: all; of texts, drawn at random, as many as the seconds left allow,
        and a first few in any case.
        """
        if not self.writes:
            return self.outputs(module, rows), np.arange(len(rows))
        mixed = np.random.default_rng([self.problem.seed, 9]).permutation(len(rows))
        outputs: list[Any] = []
        for start in range(0, len(rows), WRITTEN):
            begin = time.perf_counter()
            outputs += list(self.outputs(module, rows[mixed[start : start + WRITTEN]]))
            if left() < time.perf_counter() - begin:
                break
        answered = mixed[: len(outputs)]
        order = np.argsort(answered)
        return np.array(outputs, dtype=object)[order], answered[order]

    def score(self, outputs: Outputs, rows: Rows) -> float:
        """The headline metric of these outputs."""
        found = self.task.head.predictions(self.problem, outputs, rows)
        return headline(self.task, self.problem, found, rows)

    def _train(self, module: Tunable, rows: Rows, epochs: int, watch: Watch) -> Trained:
        head, problem = self.task.head, self.problem
        recipe = problem.backbone.recipe(SCRATCH).at_rate(self.rate)

        def loss(network: Any, batch: Rows, rng: np.random.Generator) -> torch.Tensor:
            return head.step_loss(problem, network, batch, rng, Aim(recipe.label_smoothing))

        return train(module, rows, loss, recipe, epochs, problem.seed, self.lengths(rows), watch)


def headline(task: Task, problem: Problem, predictions: Sequence[Prediction], rows: Rows) -> float:
    """The headline metric's value of predictions for these rows."""
    scores = task.score(predictions, problem.groups[rows], np.random.default_rng(0))
    return scores.metrics[task.headline].value


def from_random(task: Task, problem: Problem) -> FromRandom:
    """The same task and rows, on a network with random weights. Views that training may draw from are kept."""
    views = problem.features.views
    features = Features(problem.dataset.examples, None, views)
    return FromRandom(task, replace(problem, backbone=_randomised(problem, problem.seed), features=features, memo={}))


def longest_share(problem: Problem, rows: Rows) -> float:
    """How many times the mean length the longest of some inputs has: a step of the longest takes so much longer."""
    backbone, examples = problem.backbone, problem.dataset.examples
    lengths = [backbone.length(backbone.encode(examples[r], backbone.views[0])) for r in spread_evenly(rows, SAMPLE)]
    return max(lengths) / float(np.mean(lengths))


def scored_rows(rows: Rows, limit: int = SCORED_ROWS) -> Rows:
    """Few enough rows to be scored many times."""
    return spread_evenly(rows, min(limit, SCORED_ROWS))


def _randomised(problem: Problem, seed: int) -> Backbone:
    backbone = problem.backbone
    chosen = spread_evenly(np.arange(len(problem.dataset.examples)), SAMPLE)
    sample = [backbone.encode(problem.dataset.examples[r], backbone.views[0]) for r in chosen]
    return backbone.randomised(seed, sample)
