"""Try one rung: train it on each fold's complement, choose how far to go from the rung before, compare the two."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headstart.backbones.backbone import Depth
from headstart.heads.head import Outputs, Tunable
from headstart.metrics.intervals import paired_difference
from headstart.plan import RungPlan
from headstart.problem import Rows
from headstart.stages.context import Context, Rung
from headstart.stages.replace_head import Replaced, score_of
from headstart.stages.select import Selected
from headstart.stages.tuning_plan import SAFETY, Pace, final_epochs, hopeless, lengths, plan_rung, step_loss
from headstart.training.loop import Trained, Watch, train
from headstart.training.lora import add_lora, merge_lora
from headstart.training.weights import Weights, blend, distance, restore, snapshot
from headstart.types import Interval

FINAL_RATE = 0.6  # of the recipe's rate, when the shipped network goes on from the first fold's
SHARES = (1.0, 0.75, 0.5)
"""How far to go from the untuned to the tuned weights; what held-out rows lose least with is taken."""
DECIDING_LEVEL = 0.90  # of the interval that must lie on the better side
EARLY_LEVEL = 0.98  # the same before all planned folds are tuned: more looks, each of them stricter


@dataclass
class Fold:
    """One fold's training: the untuned head it began with, where it started, where it ended, its curve.

    losses: development loss at each share of the way.

    Folds may have chosen heads of different kinds, so weights only fit a network built on their own fold's head.
    """

    held: Rows
    base: Any
    start: Weights
    end: Weights
    trained: Trained
    losses: dict[float, float]

    def at(self, share: float) -> Weights:
        """The weights that share of the way from the start to the end."""
        return blend(self.start, self.end, share)


@dataclass
class Shipped:
    """The tuned network, and the untuned head of the kind that it has."""

    module: Tunable
    base: Any


@dataclass
class Attempt:
    """A rung that was tuned and scored out of fold.

    epochs: that helped the first fold, at most plan.epochs. share: how far it goes from the untuned
    to the tuned weights. first: the first fold, which the network that ships goes on from. pace: what a step took.
    final_s: predicted seconds of the last training.
    """

    depth: Depth
    plan: RungPlan
    rung: Rung
    epochs: int
    share: float
    first: Fold
    pace: Pace
    final_s: float


def attempt_rung(
    context: Context,
    selected: Selected,
    replaced: Replaced,
    before: Rung,
    pace: Pace | None,
    depth: Depth,
) -> Attempt | str:
    """Tune this depth on the planned folds and compare it with the rung before; or why that was not possible.

    Fewer folds do where the comparison is clear before the last one; the time is for deeper rungs then.

    Training starts from the pretrained weights and the untuned head, not from the rung before: that was measured to
    end better (docs/log.md). pace: what a step of the rung before took.
    """
    begin = time.perf_counter()
    if pace is not None and (fault := hopeless(context, selected, depth, pace)):
        return fault
    module = context.task.head.build(selected.problem, replaced.bases[0], depth)
    planned = any(rung.name == depth.name for rung in context.plan.rungs or ())
    calibrated = plan_rung(context, selected, replaced, module, depth, len(before.rows))
    if isinstance(calibrated, str):
        return calibrated
    folds: list[Fold] = []
    for number in range(calibrated.folds):
        fold = _tune_fold(context, selected, replaced, depth, number, calibrated.epochs, calibrated.folds)
        if fold.trained.stopped:
            context.warnings.append(f"Tuning the {depth.part} stopped: {fold.trained.stopped}; the rung before ships.")
            return fold.trained.stopped
        folds.append(fold)
        last = number + 1 == calibrated.folds
        if not last and (planned or context.split.method == "cross-validation"):
            continue
        share, losses = _best_share(folds)
        outputs, rows = _held_outputs(context, selected, depth, folds, share)
        if not last and _is_clear(_compared(context, selected, before, outputs, rows, EARLY_LEVEL)[0]):
            break
    epochs = folds[0].trained.best_epoch or calibrated.epochs
    rung = _rung(context, selected, before, depth, outputs, rows)
    rung.seconds = time.perf_counter() - begin
    rung.curve = _mean_curve([fold.trained.curve for fold in folds])
    rung.description += (
        f", {epochs} epoch{'s' if epochs != 1 else ''} on {len(folds)} fold{'s' if len(folds) != 1 else ''}"
    )
    rung.facts = {
        "epochs": epochs,
        "folds": len(folds),
        "share": share,
        "loss_by_share": losses,
        "weight_distance": float(np.mean([distance(fold.start, fold.at(share)) for fold in folds])),
    }
    facts = rung.to_json(context.task.head.decision_metric)
    context.run.log("rung", rung_seconds=facts.pop("seconds"), **facts)
    step_s = sum(f.trained.seconds for f in folds) / sum(f.trained.steps for f in folds)
    final_s = (
        final_epochs(epochs) * step_s * len(context.split.dev) / selected.problem.backbone.recipe(depth).batch_size
    )
    pace = Pace(depth, step_s)
    return Attempt(depth, replace(calibrated, folds=len(folds)), rung, epochs, share, folds[0], pace, SAFETY * final_s)


def _tune_fold(
    context: Context,
    selected: Selected,
    replaced: Replaced,
    depth: Depth,
    number: int,
    epochs: int,
    n_folds: int,
) -> Fold:
    split = context.split
    held: Rows = split.dev[split.folds == number]
    module = context.task.head.build(selected.problem, replaced.bases[number], depth)
    start = snapshot(module)
    what = f"Tuning the {depth.part}, fold {number + 1} of {n_folds}"
    rows = split.dev[split.folds != number]
    trained = _train(context, selected, module, depth, rows, held, what, context.settings.seed + number, epochs)
    fold = Fold(held, replaced.bases[number], start, snapshot(module), trained, {})
    if not trained.stopped:
        for share in SHARES:
            restore(module, fold.at(share))
            fold.losses[share] = context.task.head.dev_loss(selected.problem, module, held)
    return fold


def _network(context: Context, selected: Selected, depth: Depth, fold: Fold, share: float) -> Tunable:
    """The fold's network, that share of the way to its tuned weights."""
    module = context.task.head.build(selected.problem, fold.base, depth)
    restore(module, fold.at(share))
    return module


def _train(
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
) -> Trained:
    """One training with progress and the clock. held: rows whose loss is watched. rate: factor on the recipe's."""
    head, problem = context.task.head, selected.problem
    recipe = problem.backbone.recipe(depth).at_rate(rate)
    total = epochs * -(-len(rows) // recipe.batch_size)
    ticks = iter(context.reporter.track(range(total), what, total))
    next(ticks, None)
    watch = Watch(
        evaluate=(lambda _: head.dev_loss(problem, module, held)) if held is not None else None,
        out_of_time=lambda: context.clock.left() < context.reserve_seconds,
        on_step=lambda: _advance(ticks),
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
        train_seconds=trained.seconds,
        stopped=trained.stopped,
        best_epoch=trained.best_epoch,
        curve=trained.curve,
    )
    return trained


def _advance(ticks: Iterator[int]) -> None:
    next(ticks, None)


def _best_share(folds: Sequence[Fold]) -> tuple[float, dict[str, float]]:
    """The share of the way whose mean development loss over the folds is lowest, and the losses of all."""
    rows = [len(fold.held) for fold in folds]
    losses = {share: float(np.average([fold.losses[share] for fold in folds], weights=rows)) for share in SHARES}
    best = min(SHARES, key=lambda share: losses[share])
    return best, {str(share): loss for share, loss in losses.items()}


def _held_outputs(
    context: Context, selected: Selected, depth: Depth, folds: Sequence[Fold], share: float
) -> tuple[Outputs, Rows]:
    """Out-of-fold outputs of the networks that share of the way, and their rows."""
    outputs = []
    for fold in folds:
        module = _network(context, selected, depth, fold, share)
        outputs.append(context.task.head.outputs(selected.problem, module, fold.held, context.reporter))
    return np.concatenate(outputs), np.concatenate([fold.held for fold in folds])


def _is_clear(difference: Interval) -> bool:
    return difference.high < 0 or difference.low > 0


def _compared(
    context: Context, selected: Selected, earlier: Rung, outputs: Outputs, rows: Rows, level: float
) -> tuple[Interval, float]:
    """Difference to the rung before on the same rows, both calibrated, negative is better; and what that one scores."""
    head, problem = context.task.head, selected.problem
    position = {int(r): i for i, r in enumerate(earlier.rows)}
    common = np.array([i for i, r in enumerate(rows) if int(r) in position])
    shared = rows[common]
    theirs = earlier.outputs[[position[int(r)] for r in shared]]
    scored = []
    for values in (outputs[common], theirs):
        temperature = head.calibrate(problem, values, shared)
        scored.append(head.row_scores(problem, head.tempered(values, temperature), shared))
    (ours_n, denominators), (theirs_n, _) = scored
    difference = paired_difference(ours_n, theirs_n, denominators, problem.groups[shared], context.rng(2), level=level)
    return difference, float(theirs_n.sum() / denominators.sum())


def _rung(context: Context, selected: Selected, earlier: Rung, depth: Depth, outputs: Outputs, rows: Rows) -> Rung:
    """The tuned rung, compared with the one before."""
    difference, before = _compared(context, selected, earlier, outputs, rows, DECIDING_LEVEL)
    description = f"{depth.part} tuned from {'cached states' if depth.cut else 'the inputs themselves'}"
    score = score_of(context, selected, outputs, rows)
    return Rung(depth.name, description, score, outputs, rows, 0.0, difference, before)


def _mean_curve(curves: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Mean over the folds that reached each epoch."""
    longest = max(len(c) for c in curves)
    return [
        {key: float(np.mean([c[i][key] for c in curves if len(c) > i])) for key in ("epoch", "train_loss", "dev_loss")}
        for i in range(longest)
    ]


def train_final(context: Context, selected: Selected, kept: Attempt) -> Shipped:
    """The network to ship: the first fold's, trained on with all development rows.

    That costs half of a training from the start, and ended better where both were measured (docs/log.md). Where it is
    interrupted, the first fold's network ships: it has been scored on rows that it did not learn from.
    """
    head, problem, rows = context.task.head, selected.problem, context.split.dev
    base = head.refit_base(problem, rows, kept.first.base)
    module = head.build(problem, base, kept.depth)
    start = snapshot(module)
    restore(module, kept.first.end)
    epochs = final_epochs(kept.epochs)
    what = f"Tuning the {kept.depth.part} on all development rows"
    seed = context.settings.seed + 100
    try:
        stopped = _train(context, selected, module, kept.depth, rows, None, what, seed, epochs, FINAL_RATE).stopped
    except KeyboardInterrupt:
        stopped = "Interrupted"
    kept.rung.facts["final_epochs"] = 0 if stopped else epochs
    if stopped:
        restore(module, kept.first.at(kept.share))
        context.warnings.append(
            f"The last training, on all rows, was cut short ({stopped}); the network of the first fold ships, which "
            "learnt from a part of them."
        )
    else:
        restore(module, blend(start, snapshot(module), kept.share))
    return Shipped(module, base)
