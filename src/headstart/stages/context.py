"""What every stage is given: the settings, the plan so far, the clock, the run folder and the reporter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.backbone import Backbone, Depth
from headstart.budget import Clock
from headstart.data.split import Split
from headstart.errors import SettingError
from headstart.plan import Plan
from headstart.problem import spread_evenly
from headstart.run_dir import RunDir
from headstart.settings import Settings
from headstart.stock.regions import size_of
from headstart.stock.timm_detector import squares
from headstart.stock_process import StockProcess
from headstart.tasks.task import Task
from headstart.types import Dataset, Interval, Reporter

CONTROL_SHARE = 0.06  # of the budget, for the control; with the naive baseline and the next two at most 15%
CURVE_SHARE = 0.03  # for the score against the number of labels
SCRATCH_SHARE = 0.03  # for training from random weights
CONTROL_LABELS = 1000  # at most: enough to see whether pretraining matters


@dataclass
class Context:
    """plan is replaced as decisions are made; warnings end up in the report;
    reserve_seconds is what the stages after tuning need; answer_s is what an answer takes from a row's state, where
    that is costly; stock is the process that will run the saved model, once it has been started.
    """

    settings: Settings
    task: Task
    dataset: Dataset
    split: Split
    plan: Plan
    clock: Clock
    run: RunDir
    reporter: Reporter
    cache_dir: Path
    warnings: list[str] = field(default_factory=list)
    reserve_seconds: float = 0.0
    answer_s: float = 0.0
    stock: StockProcess | None = None

    def close(self) -> None:
        """End what runs beside this process."""
        if self.stock is not None:
            self.stock.close()

    @property
    def needs_all_folds(self) -> bool:
        """Whether every development row must be scored: by these the run is judged, or each value of a column is."""
        return self.split.method == "cross-validation" or self.settings.shift_column is not None

    @property
    def passes_per_test(self) -> float:
        """Of the saved network for a test row, on average: a large picture is looked at in many tiles."""
        framing, test = self.dataset.framing, self.split.test
        if framing is None or framing.tile is None or not len(test):
            return 1.0
        sizes = [size_of(self.dataset.examples[row].input) for row in test]
        return float(np.mean([len(squares(size, framing.to_json())) for size in sizes]))

    def held_rows(self, fold: int, most: int | None = None) -> NDArray[np.int64]:
        """The fold's development rows that decisions are made on: all, or a part where answers are costly.

        most: so many at most, in place of what the plan says; smaller parts lie in larger ones.
        """
        limit = self.task.decision_rows
        rows: NDArray[np.int64] = self.split.dev[self.split.folds == fold]
        if limit is None or self.split.method == "cross-validation":
            return rows
        rows = spread_evenly(rows, limit)
        wanted = most or self.plan.decision_rows or limit
        drawn = np.random.default_rng(0).permutation(len(rows))[:wanted]
        return np.sort(rows[drawn])

    @property
    def used_folds(self) -> list[int]:
        """All folds; where every row's output is costly, only as many as score a steady estimate."""
        folds = self.task.decision_folds or self.split.n_folds
        return list(range(min(folds, self.split.n_folds)))

    @property
    def deciding_rows(self) -> NDArray[np.int64]:
        """The development rows that decisions are made on, fold after fold."""
        return np.concatenate([self.held_rows(fold) for fold in self.used_folds])

    def rng(self, offset: int = 0) -> np.random.Generator:
        """A fresh generator from the run's one seed."""
        return np.random.default_rng([self.settings.seed, offset])


@dataclass
class Rung:
    """A depth of tuning that was tried.

    outputs: out-of-fold outputs for `rows`. weights: how many rows each of these stands for, one where None.
    difference: against the rung before, 90% interval, negative is better; before: what that rung scores on the rows
    that both were scored on. reached_s: seconds from the start of the run after which its score was known.
    facts: what was measured on the way (epochs, folds, seconds of a step, share of the way from the rung before, how
    far the weights moved, training and development loss).
    """

    name: str
    description: str
    score: Interval
    outputs: Any
    rows: Any
    seconds: float
    difference: Interval | None = None
    before: float | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    chosen: bool = False
    reached_s: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    weights: NDArray[np.float64] | None = None

    def outputs_for(self, rows: NDArray[np.int64]) -> NDArray[Any] | None:
        """Its outputs for these rows, in their order; None where it was not scored on all of them."""
        at = {int(row): i for i, row in enumerate(self.rows)}
        if not all(int(row) in at for row in rows):
            return None
        found: NDArray[Any] = np.asarray(self.outputs)[[at[int(row)] for row in rows]]
        return found

    def to_json(self, metric: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "metric": metric,
            "lower_is_better": True,
            "score": self.score.to_json(),
            "difference": self.difference.to_json() if self.difference else None,
            "before": self.before,
            "seconds": self.seconds,
            "curve": self.curve,
            "chosen": self.chosen,
            "reached_seconds": self.reached_s,
            **self.facts,
        }


def begins_with_inputs(context: Context, backbone: Backbone) -> bool:
    """Whether only rows that decide need states at first, because the whole network is tuned before anything else."""
    if backbone.features or context.settings.shift_column is not None:  # every fold is answered there
        return False
    depths = offered_depths(context, backbone)
    may_be_first = depths if context.settings.depth == "auto" and not context.plan.rungs else depths[:1]
    first = next((depth for depth in may_be_first if backbone.recipe(depth).comes_first), None)
    return first is not None and first.cut is None


def offered_depths(context: Context, backbone: Backbone) -> list[Depth]:
    """The depths that may be tuned, shallowest first: the one that was asked for, those of the plan, or all.

    Raises SettingError where the network does not have the depth that was asked for.
    """
    wanted, plan = context.settings.depth, context.plan.rungs
    if wanted == "head" and backbone.features:
        return []  # fitted in closed form; to know the depths, the network would be exported
    depths = {d.name: d for d in backbone.depths}
    if wanted == "head" and "head" not in depths:
        return []
    if "all" in depths and "lora" not in depths:
        depths["lora"] = replace(depths["all"], name="lora", part="whole network, by low-rank changes")
    if plan is not None:
        names = [rung.name for rung in plan]
    else:
        names = [n for n in depths if n != "lora"] if wanted == "auto" else [wanted]
    missing = [name for name in names if name not in depths]
    if missing:
        raise SettingError(
            f"{backbone.source.id} has no depth {missing[0]!r}; it has {', '.join(dict.fromkeys(('head', *depths)))}. "
            "Choose one of these."
        )
    return [depths[name] for name in names]
