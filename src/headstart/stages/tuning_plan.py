"""Plan a rung's tuning in units of work from measured rates, so that what comes after it still fits the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.backbone import Depth, Recipe
from headstart.heads.head import Aim, Tunable
from headstart.heads.seq2seq import GENERATE_BATCH
from headstart.plan import RungPlan
from headstart.stages.context import CURVE_SHARE, SCRATCH_SHARE, Context, Rung
from headstart.stages.control_plan import control_size
from headstart.stages.deciding import answered_rows
from headstart.stages.recipe import recipe_of
from headstart.stages.replace_head import Replaced, decide_on_fewer
from headstart.stages.select import Selected
from headstart.training.gradients import StepLoss
from headstart.training.loop import Watch, train

CALIBRATION_STEPS = 12  # timed at most, and no more once they took CALIBRATION_S
CALIBRATION_S = 4.0
MIN_CALIBRATION_STEPS = 3
SAFETY = 1.15  # predicted times are multiplied by this
FINAL_SHARE = 0.5  # of the epochs: the shipped network goes on from the first fold's
FEWEST_DECIDING = 0.5  # of the rows that were to decide: with fewer of them a difference is hardly seen
SPARED = 0.4  # of the test rows' answers, which are in a random order, where else nothing could be tuned
LOOK = 0.1  # of an epoch, for a development loss
SHARES = (1.0, 0.75, 0.5)
"""How far to go from the untuned to the tuned weights; what held-out rows lose least with is taken."""
REFITTING = 0.4  # of a training pass: features of the same rows, for a head that is fitted anew to them
FINAL_SAFETY = 1.05  # the same for the last training, whose pace was measured on many steps


@dataclass(frozen=True)
class Forecast:
    """What a rung will take, from the measured seconds of one pass over all development rows.

    folds: as a number of such passes an epoch. before_s: kept back already for the last training of the rung before;
    only one of the two will be trained. refit_s: of a head that is fitted anew after the last training. row_s: of
    scoring_s, for each row of a fold, on average over those that are answered and those that are not. looks: at
    held-out rows, beside one after each epoch, and at rows learnt from.
    """

    pass_s: float
    folds: float
    scoring_s: float
    before_s: float
    refit_s: float = 0.0
    row_s: float = 0.0
    looks: int = len(SHARES)

    def seconds(self, epochs: int, last: bool = True) -> float:
        """Predicted seconds of the whole rung. last: with the last training, on all rows."""
        final = SAFETY * (final_epochs(epochs) * self.pass_s + self.refit_s) if last else 0.0
        watched = epochs + LOOK * (epochs + self.looks)
        tuning = SAFETY * (watched * self.folds * self.pass_s + self.scoring_s)
        return tuning + max(0.0, final - self.before_s)

    def epochs_within(self, seconds: float, most: int, last: bool = True) -> int:
        """The most epochs that fit, 0 where none does."""
        return next((n for n in range(most, 0, -1) if self.seconds(n, last) <= seconds), 0)

    def rows_too_many(self, seconds: float, epochs: int) -> int:
        """How many rows of a fold would have to go unscored for these epochs to fit without the last training."""
        return max(0, math.ceil((self.seconds(epochs, last=False) - seconds) / (SAFETY * max(self.row_s, 1e-9))))


def plan_rung(
    context: Context,
    selected: Selected,
    replaced: Replaced,
    module: Tunable,
    depth: Depth,
    compared_rows: int,
    before_s: float,
) -> RungPlan | str:
    """Folds and epochs of this rung, or why it cannot be tuned. It takes what it can use; the rest is for the next.

    Behind a model that learnt from no row, the first fold's network is worth its time even without the last training,
    and where that does not fit either, fewer test rows are answered for it, and fewer held-out rows decide.

    module: what will be trained, for a few timed steps. compared_rows: that the rung before has outputs for; a fold
    without them would tell nothing. before_s: kept back for that rung's last training.
    """
    planned = next((rung for rung in context.plan.rungs or () if rung.name == depth.name), None)
    if planned is not None:
        context.reserve_seconds -= 0.0 if before_s else _spared(context, selected, replaced, depth)
        return planned
    left = context.clock.left() - context.reserve_seconds
    if left <= 0:
        context.run.log("rung plan", name=depth.name, seconds_left=left, folds=0, epochs=0)
        return "it does not fit the budget (0 s left for it)"
    step_s = _seconds_per_step(context, selected, module, depth)
    if isinstance(step_s, str):
        context.run.log("rung plan", name=depth.name, why=step_s, folds=0, epochs=0)
        return step_s
    recipe = recipe_of(context, selected, depth)
    fitting: list[tuple[int, int, Forecast]] = []
    for folds in _fold_counts(context, compared_rows):
        forecast = _forecast(context, replaced, depth, folds, selected, step_s, before_s)
        fitting.append((folds, forecast.epochs_within(left, recipe.max_epochs), forecast))
    # a whole schedule on fewer folds tells more than a cut one on more
    folds, epochs, forecast = next((plan for plan in fitting if plan[1] == recipe.max_epochs), fitting[-1])
    fewest = recipe.min_epochs if context.settings.depth == "auto" else 1
    last = epochs >= fewest or before_s > 0 or not context.task.control_is_untuned
    if not last:  # the untouched model learnt from no row either: a fold's network may ship as it was compared with it
        epochs = forecast.epochs_within(left, recipe.max_epochs, last=False)
        spared = _spared(context, selected, replaced, depth)
        held = len(context.held_rows(0))
        fewer = forecast.rows_too_many(left + spared, fewest)
        if epochs < fewest and fewer <= (1 - FEWEST_DECIDING) * held:
            epochs, context.reserve_seconds = fewest, context.reserve_seconds - spared
            if fewer:
                context.plan = context.plan.with_(decision_rows=held - fewer)
                decide_on_fewer(context, selected, replaced)
                forecast = _forecast(context, replaced, depth, folds, selected, step_s, before_s)
    if epochs >= fewest:
        context.run.log("rung plan", name=depth.name, seconds_per_step=step_s, seconds_left=left, folds=folds,
                        epochs=epochs, last=last, rows=len(context.held_rows(0)),
                        predicted_seconds=forecast.seconds(epochs, last))  # fmt: skip
        return RungPlan(depth.name, folds, epochs)
    context.run.log("rung plan", name=depth.name, seconds_per_step=step_s, seconds_left=left, folds=0, epochs=0)
    return f"it does not fit the budget ({max(left, 0):.0f} s left for it, a step takes {step_s:.2f} s)"


@dataclass(frozen=True)
class Pace:
    """Measured seconds of a training step at a depth."""

    depth: Depth
    step_s: float


def hopeless(context: Context, selected: Selected, depth: Depth, pace: Pace) -> str:
    """Why a deeper depth cannot fit even at half of the time that its share of the network suggests, or ""."""
    if context.settings.plan or context.settings.depth != "auto":
        return ""
    recipe = recipe_of(context, selected, depth)
    per_row = pace.step_s / recipe_of(context, selected, pace.depth).batch_size
    per_row *= depth.compute_share / max(pace.depth.compute_share, 1e-3)
    fewest = recipe.min_epochs * ((1 - 1 / context.split.n_folds) + FINAL_SHARE)
    left = context.clock.left() - context.reserve_seconds
    if 0.5 * per_row * fewest * len(context.split.dev) <= left:
        return ""
    step_s = per_row * recipe.batch_size
    return f"it does not fit the budget ({max(left, 0):.0f} s left for it, a step would take about {step_s:.2f} s)"


def _fold_counts(context: Context, compared_rows: int) -> list[int]:
    """All folds that were scored before; one alone where that is too long, except where every row must be scored."""
    sizes = np.cumsum([len(context.held_rows(fold)) for fold in context.used_folds])
    folds = max(1, int(np.sum(sizes <= compared_rows)))
    return [folds] if context.needs_all_folds else list(dict.fromkeys((folds, 1)))


def _forecast(
    context: Context,
    replaced: Replaced,
    depth: Depth,
    folds: int,
    selected: Selected,
    step_s: float,
    before_s: float,
) -> Forecast:
    rows, n_folds = len(context.split.dev), context.split.n_folds
    recipe = recipe_of(context, selected, depth)
    pass_s = step_s * rows / recipe.batch_size
    answer_s = replaced.seconds_per_output * _share_of_answers(context, replaced)
    if depth.cut is None:  # answers need a pass of the whole network
        answer_s += 1.0 / selected.extractor.stock_rate
    held = context.held_rows(0)
    answered = len(answered_rows(context, selected, replaced.rung, held)[0]) / len(held)
    row_s, passes, refit_s = answered * folds * answer_s, folds * (1 - 1 / n_folds), refit_seconds(recipe, pass_s)
    shares = len(shares_of(context, depth))
    scoring_s = len(held) * row_s + shares * passes * refit_s
    looks = shares  # at all but the whole way, whose loss is known from the last epoch, and one at rows learnt from
    return Forecast(pass_s, passes, scoring_s, before_s, refit_s, row_s, looks)


def shares_of(context: Context, depth: Depth) -> tuple[float, ...]:
    """The shares that are tried: the whole way alone where a whole network writes, as the loss, which would choose, is
    no good guide to answers (docs/log.md).
    """
    return SHARES[:1] if depth.cut is None and context.task.decision_rows is not None else SHARES


def loss_misleads(context: Context, selected: Selected, depth: Depth) -> bool:
    """Whether the development loss is no guide to answers: where a whole decoder is taught, it is that of given words,
    and rises while fewer of the words that are written are wrong (docs/log.md). A new layer's over frames is another.
    """
    writes = context.task.decision_rows is not None and getattr(selected.problem.backbone, "searches", False)
    return depth.cut is None and writes


def _share_of_answers(context: Context, replaced: Replaced) -> float:
    """How long answers as long as the targets take, as a share of the untouched model's: it may repeat itself for long.

    Texts are written in batches, each of them until its longest one ends.
    """
    if not context.task.control_is_untuned:
        return 1.0
    targets, order = _by_target(context, replaced.rung)
    return min(1.0, _longest(targets, order) / max(1, _longest(replaced.rung.outputs, order)))


def stock_answer_s(context: Context, rung: Rung, answer_s: float) -> float:
    """Seconds of an answer by the stock loader, whose batches hold texts of any length, as it knows no targets.

    answer_s: of this rung's answers to held-out rows, in batches of similar targets.
    """
    mixed = context.rng(9).permutation(len(rung.rows))
    _, order = _by_target(context, rung)
    return answer_s * max(1.0, _longest(rung.outputs, mixed) / max(1, _longest(rung.outputs, order)))


def _by_target(context: Context, rung: Rung) -> tuple[list[str], NDArray[np.int64]]:
    """The targets of the rung's rows, and the order in which an encoder-decoder answers them."""
    targets = [context.dataset.examples[r].target or "" for r in rung.rows]
    return targets, np.argsort([len(target) for target in targets], kind="stable")


def _longest(texts: Sequence[str], order: NDArray[np.int64]) -> int:
    """Characters of each batch's longest text, summed."""
    batches = [order[start : start + GENERATE_BATCH] for start in range(0, len(order), GENERATE_BATCH)]
    return sum(max(len(texts[i]) for i in batch) for batch in batches)


def refit_seconds(recipe: Recipe, pass_s: float) -> float:
    """Seconds of fitting the head anew to all development rows' tuned features; 0 where the trained head counts."""
    return REFITTING * pass_s if recipe.contrast else 0.0


def final_epochs(epochs: int) -> int:
    """Epochs on all development rows for the network that ships."""
    return max(1, round(FINAL_SHARE * epochs))


def affordable_final(context: Context, epochs: int, pass_s: float, refit_s: float = 0.0) -> int:
    """Of these epochs on all development rows, as many as the time left allows. pass_s: measured seconds of one."""
    left = context.clock.left() - context.reserve_seconds - refit_s
    return min(epochs, max(0, int(left / (FINAL_SAFETY * pass_s))))


def reserve(context: Context, selected: Selected, replaced: Replaced, answer_s: float) -> float:
    """Seconds kept for saving, the stock loader's pass over the test rows, baselines, controls and the report.

    answer_s: of an answer of the saved model, from a row's state.
    """
    stock = _answering_s(context, selected, answer_s)
    control = control_size(context, selected, replaced.seconds_per_output, _n_test(context))
    curve = CURVE_SHARE * context.clock.budget_seconds if context.task.label_curve else 0.0
    scratch = 0.0 if context.task.control_is_untuned else SCRATCH_SHARE * context.clock.budget_seconds
    fitting = max(0.0, replaced.rung.seconds - selected.extractor.seconds)
    return 15.0 + SAFETY * stock + (control.seconds if control else 0.0) + curve + scratch + 0.2 * fitting


def _n_test(context: Context) -> int:
    return len(context.split.test) or len(context.split.dev) // context.split.n_folds


def _answering_s(context: Context, selected: Selected, answer_s: float) -> float:
    """Seconds of the saved model's answers to the test rows."""
    return _n_test(context) * (answer_s + context.passes_per_test / selected.extractor.stock_rate)


def _spared(context: Context, selected: Selected, replaced: Replaced, depth: Depth) -> float:
    """Seconds of answers that the first rung behind an untouched model may have in place of some test rows."""
    is_first = not context.plan.rungs or context.plan.rungs[0].name == depth.name
    given = is_first and context.task.control_is_untuned and len(context.split.test)
    return SPARED * _answering_s(context, selected, replaced.seconds_per_output) if given else 0.0


def _seconds_per_step(context: Context, selected: Selected, module: Tunable, depth: Depth) -> float | str:
    """Seconds of a training step; or why not even one could be taken."""
    recipe = recipe_of(context, selected, depth)
    seconds: list[float] = []
    last = time.perf_counter()

    def on_step() -> None:
        nonlocal last
        now = time.perf_counter()
        seconds.append(now - last)
        last = now

    sizes, size = lengths(context, selected), recipe.batch_size
    by_size = context.split.dev[np.argsort(sizes[context.split.dev], kind="stable")]
    batches = [by_size[i : i + size] for i in range(0, len(by_size), size)]  # as in a sorted pool
    usual = float(np.mean([max(1, sizes[batch[-1]]) for batch in batches]))
    near = sorted(batches, key=lambda batch: abs(sizes[batch[-1]] - usual))  # a few steps need not be the usual ones
    rows = np.concatenate(near[: CALIBRATION_STEPS + 1])
    loss, padded = step_loss(context, selected, depth), []

    def noted(module: Any, batch: NDArray[np.int64], rng: np.random.Generator) -> Any:
        padded.append(max(1, int(sizes[batch].max())))
        return loss(module, batch, rng)

    watch = Watch(
        out_of_time=lambda: len(seconds) >= MIN_CALIBRATION_STEPS and sum(seconds) > CALIBRATION_S, on_step=on_step
    )
    trained = train(module, rows, noted, recipe, 1, context.settings.seed, sizes, watch)
    if not trained.steps:
        return trained.stopped
    paces = [taken / length for taken, length in zip(seconds, padded)]
    return usual * float(np.median(paces[len(paces) // 2 :]))  # the first ones wait for memory


def lengths(context: Context, selected: Selected) -> NDArray[np.int64]:
    """Length of every example's state, by position in the data set; 0 for rows that were not extracted."""
    found = np.zeros(len(context.dataset.examples), dtype=np.int64)
    found[context.split.dev] = selected.problem.features.lengths(context.split.dev)
    return found


def step_loss(context: Context, selected: Selected, depth: Depth) -> StepLoss:
    """The head's training loss, as the loop wants it."""
    head, problem = context.task.head, selected.problem
    recipe = recipe_of(context, selected, depth)
    aim = Aim(recipe.label_smoothing, recipe.contrast)

    def loss(module: Any, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        return head.step_loss(problem, module, rows, rng, aim)

    return loss
