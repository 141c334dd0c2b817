"""Plan the tuning in units of work from measured rates, so that what comes after it still fits the budget."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from headstart.stages.context import CONTROL_LABELS, CONTROL_SHARE, Context
from headstart.stages.replace_head import Replaced, used_folds
from headstart.stages.select import Selected
from headstart.stages.views import add_views, choose_views
from headstart.training.loop import StepLoss, train

CALIBRATION_STEPS = 3
SAFETY = 1.15  # predicted times are multiplied by this


def plan_work(context: Context, selected: Selected, replaced: Replaced) -> str:
    """Fill the plan's views, folds and epochs from measured rates; return why there can be no tuning, or ""."""
    context.reserve_seconds = _reserve(context, selected, replaced)
    if context.plan.epochs is not None:
        if not context.plan.tune_folds:
            return "the plan leaves the tuned rung out"
        add_views(context, selected, context.plan.views or selected.problem.backbone.views[:1])
        return ""
    if not selected.extractor.keep_state:
        context.plan = context.plan.with_(tune_folds=0, epochs=0, views=selected.problem.backbone.views[:1])
        return "the states behind which tuning starts would not fit the disk"
    left = context.clock.left() - context.reserve_seconds
    begin = context.clock.spent()
    views = choose_views(context, selected, replaced, left)
    left -= context.clock.spent() - begin
    step_s = _seconds_per_step(context, selected, replaced)
    epochs, folds = _affordable_epochs(context, selected, replaced, left, step_s)
    context.plan = context.plan.with_(views=views, tune_folds=folds, epochs=epochs)
    context.run.log(
        "calibration", seconds_per_step=step_s, seconds_for_tuning=left, epochs=epochs, folds=folds, views=views
    )
    if epochs == 0:
        return f"tuning does not fit the budget ({max(left, 0):.0f} s left for it, a step takes {step_s:.2f} s)"
    return ""


def _reserve(context: Context, selected: Selected, replaced: Replaced) -> float:
    """Seconds kept for saving, the stock loader's pass over the test rows, baselines, controls and the report."""
    rate = selected.extractor.rate
    torch_rate = selected.extractor.engine.torch_examples_per_second
    torch_rate = torch_rate if torch_rate == torch_rate else rate / 5  # not measured where the engine was named
    test = len(context.split.test) or len(context.split.dev) // context.split.n_folds
    stock = test * (replaced.seconds_per_output + 1.0 / min(rate, torch_rate))
    per_label, per_test = context.task.control_passes
    labels = context.plan.control_labels or min(CONTROL_LABELS, len(context.split.dev))
    passes = per_label * labels + per_test * min(test, context.task.control_test_rows)
    controls = min(passes / rate, CONTROL_SHARE * context.clock.budget_seconds) + test * replaced.seconds_per_output
    return 15.0 + stock + controls + replaced.rung.seconds * 0.2


def _seconds_per_step(context: Context, selected: Selected, replaced: Replaced) -> float:
    problem, recipe = selected.problem, selected.problem.backbone.recipe
    module = context.task.head.build(problem, replaced.final)
    seconds: list[float] = []
    last = time.perf_counter()

    def on_step() -> None:
        nonlocal last
        now = time.perf_counter()
        seconds.append(now - last)
        last = now

    sizes = lengths(context, selected)
    typical = context.split.dev[np.argsort(sizes[context.split.dev], kind="stable")]  # steps as in a sorted pool
    rows = typical[:: max(1, len(typical) // (recipe.batch_size * (CALIBRATION_STEPS + 1)))]
    train(module, rows, step_loss(context, selected), recipe, 1, context.settings.seed, sizes, on_step=on_step)
    return float(np.mean(seconds[1:] or seconds))


def _affordable_epochs(
    context: Context, selected: Selected, replaced: Replaced, left: float, step_s: float
) -> tuple[int, int]:
    """Most epochs that fit, on as many folds as leave room; (0, 0) where one epoch on one fold is too long."""
    recipe = selected.problem.backbone.recipe
    steps = len(context.split.dev) / recipe.batch_size
    folds = len(used_folds(context))
    held = len(context.split.dev) / context.split.n_folds
    for count in dict.fromkeys((folds, 1)):
        if context.split.method == "cross-validation" and count < folds:
            break  # every row must be scored out of fold
        scoring = count * held * replaced.seconds_per_output * SAFETY
        trainings = count * (1 - 1 / context.split.n_folds) + 1
        per_epoch = trainings * steps * step_s * SAFETY * 1.1  # a tenth for development losses
        epochs = int((left - scoring) / per_epoch)
        if epochs >= min(recipe.min_epochs if count > 1 else 1, recipe.max_epochs):
            return min(epochs, recipe.max_epochs), count
    return 0, 0


def lengths(context: Context, selected: Selected) -> NDArray[np.int64]:
    """Length of every example's state, by position in the data set; 0 for rows that were not extracted."""
    found = np.zeros(len(context.dataset.examples), dtype=np.int64)
    found[context.split.dev] = selected.problem.features.lengths(context.split.dev)
    return found


def step_loss(context: Context, selected: Selected) -> StepLoss:
    """The head's training loss, as the loop wants it."""
    head, problem = context.task.head, selected.problem
    return lambda module, rows, rng: head.step_loss(problem, module, rows, rng)
