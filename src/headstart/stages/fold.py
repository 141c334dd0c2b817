"""Tune on one fold's complement: the training, where it started and ended, and its answers on the fold."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart.backbones.backbone import Depth
from headstart.heads.head import Outputs, Tunable
from headstart.problem import Rows
from headstart.stages.context import Context
from headstart.stages.deciding import answered_rows
from headstart.stages.recipe import recipe_of
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected
from headstart.stages.tuning_plan import SHARES, lengths, loss_misleads, shares_of, step_loss
from headstart.training.loop import Trained, Watch, train
from headstart.training.lora import add_lora, merge_lora
from headstart.training.weights import Weights, blend, restore, snapshot


@dataclass
class Fold:
    """One fold's training: the untuned head it began with, where it started, where it ended, its curve.

    losses: development loss at shares of the way, from the whole of it to the first that is worse; none where no epoch
    was finished. refitted: the head fitted to the features there, by the same shares; none where the trained one
    counts. seconds: of all this.

    Folds may have chosen heads of different kinds, so weights only fit a network built on their own fold's head.
    """

    held: Rows
    base: Any
    start: Weights
    end: Weights
    trained: Trained
    losses: dict[float, float]
    refitted: dict[float, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def at(self, share: float) -> Weights:
        """The weights that share of the way from the start to the end, without those of a head fitted anew there."""
        weights = blend(self.start, self.end, share)
        if share in self.refitted:
            weights = {name: value for name, value in weights.items() if not name.startswith("head.")}
        return weights


def tune_fold(
    context: Context,
    selected: Selected,
    replaced: Replaced,
    depth: Depth,
    number: int,
    epochs: int,
    n_folds: int,
) -> Fold:
    """Train on the rows outside of this fold; score on the fold how far to go. number: of the fold, from 0."""
    split, begin = context.split, time.perf_counter()
    held = context.held_rows(number)
    module = context.task.head.build(selected.problem, replaced.bases[number], depth)
    start = snapshot(module)
    what = f"Tuning the {depth.part}, fold {number + 1} of {n_folds}"
    rows = split.dev[split.folds != number]
    trained = train_with_progress(
        context, selected, module, depth, rows, held, what, context.settings.seed + number, epochs,
        after_s=len(answered_rows(context, selected, replaced.rung, held)[0]) * replaced.seconds_per_output,
    )  # fmt: skip
    fold = Fold(held, replaced.bases[number], start, snapshot(module), trained, {})
    if not trained.stopped or trained.best_epoch:
        refits = recipe_of(context, selected, depth).contrast > 0
        lowest = math.inf
        for share in shares_of(context, depth):
            if share == 1.0 and trained.best_epoch and not refits:  # looked at after that epoch
                loss = trained.curve[trained.best_epoch - 1]["dev_loss"]
            else:
                restore(module, fold.at(share))
                if refits:
                    fold.refitted[share] = context.task.head.refit_tuned(selected.problem, fold.base, module, rows)
                loss = context.task.head.dev_loss(selected.problem, module, held)
            fold.losses[share] = loss
            if loss > lowest and not refits:
                break  # nearer to the start it gets no better again; heads that are fitted anew are wanted everywhere
            lowest = min(lowest, loss)
    fold.seconds = time.perf_counter() - begin
    return fold


def best_share(folds: Sequence[Fold]) -> tuple[float, dict[str, float]]:
    """The share of the way whose mean development loss over the folds is lowest, and the losses of all that every fold
    came to.
    """
    rows = [len(fold.held) for fold in folds]
    shares = [share for share in SHARES if all(share in fold.losses for fold in folds)]
    losses = {share: float(np.average([fold.losses[share] for fold in folds], weights=rows)) for share in shares}
    best = min(shares, key=lambda share: losses[share])
    return best, {str(share): loss for share, loss in losses.items()}


def held_outputs(
    context: Context, selected: Selected, depth: Depth, folds: Sequence[Fold], share: float
) -> tuple[Outputs, Rows]:
    """Out-of-fold outputs of the networks that share of the way, and their rows."""
    outputs = []
    for fold in folds:
        module = network_of(context, selected, depth, fold, share)
        outputs.append(context.task.head.outputs(selected.problem, module, fold.held, context.reporter))
    return np.concatenate(outputs), np.concatenate([fold.held for fold in folds])


def network_of(context: Context, selected: Selected, depth: Depth, fold: Fold, share: float) -> Tunable:
    """The fold's network, that share of the way to its tuned weights."""
    module = context.task.head.build(selected.problem, fold.refitted.get(share, fold.base), depth)
    restore(module, fold.at(share))
    return module


def train_with_progress(
    context: Context,
    selected: Selected,
    module: Tunable,
    depth: Depth,
    rows: Rows,
    held: Rows | None,
    what: str,
    seed: int,
    epochs: int,
    rate: float = 1.0,
    after_s: float = 0.0,
) -> Trained:
    """One training, logged, under the run's clock. held: rows whose loss is watched. rate: factor on the recipe's.
    after_s: seconds that are needed for what follows, beside those that the run keeps back.
    """
    head, problem = context.task.head, selected.problem
    recipe = recipe_of(context, selected, depth).at_rate(rate)
    total = epochs * -(-len(rows) // recipe.batch_size)
    ticks = iter(context.reporter.track(range(total), what, total))
    next(ticks, None)
    watch = Watch(
        evaluate=(lambda _: head.dev_loss(problem, module, held)) if held is not None else None,
        out_of_time=lambda: context.clock.left() < context.reserve_seconds + after_s,
        on_step=lambda: _advance(ticks),
        takes_last=loss_misleads(context, selected, depth),
    )
    loss, sizes = step_loss(context, selected, depth), lengths(context, selected)
    frozen = add_lora(module, seed) if depth.name == "lora" else []
    try:
        trained = train(module, rows, loss, recipe, epochs, seed, sizes, watch)
    finally:
        merge_lora(module, frozen)
    for _ in ticks:
        pass
    context.run.log(
        "trained",
        what=what,
        rung=depth.name,
        epochs=len(trained.curve),
        steps=trained.steps,
        parts=trained.parts,
        train_seconds=trained.seconds,
        stopped=trained.stopped,
        best_epoch=trained.best_epoch,
        curve=trained.curve,
    )
    return trained


def _advance(ticks: Iterator[int]) -> None:
    next(ticks, None)
