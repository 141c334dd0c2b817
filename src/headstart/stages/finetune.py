"""Tune one rung deeper from cached states, and keep it only if development data say so."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from headstart.metrics.intervals import paired_difference
from headstart.problem import Rows
from headstart.stages.context import Context, Rung
from headstart.stages.replace_head import Replaced, score_of
from headstart.stages.select import Selected
from headstart.stages.tuning_plan import lengths, plan_work, step_loss
from headstart.training.loop import Trained, train


@dataclass
class Tuned:
    """module: the tuned network to ship, or None where the untuned rung ships."""

    module: nn.Module | None
    rungs: list[Rung]
    why: str

    @property
    def chosen(self) -> Rung:
        """The rung that ships."""
        return next(r for r in self.rungs if r.chosen)


def finetune(context: Context, selected: Selected, replaced: Replaced) -> Tuned:
    """Decide on the tuned rung. Ctrl-C during tuning keeps the rung before."""
    first = replaced.rung
    tuned = Tuned(None, [first], "")
    try:
        tuned.why = _decide(context, selected, replaced, tuned)
    except KeyboardInterrupt:
        context.warnings.append("Interrupted during tuning; the rung before was kept.")
        tuned.why, tuned.module = "interrupted during tuning", None
    shipped = tuned.rungs[-1] if tuned.module is not None else first
    shipped.chosen = True
    context.run.log("depth", chosen=shipped.name, why=tuned.why)
    return tuned


def _decide(context: Context, selected: Selected, replaced: Replaced, tuned: Tuned) -> str:
    """Append the tuned rung where it can be afforded; return the reason for the depth."""
    forced = context.settings.depth
    name = context.task.rungs[0]
    if forced == "head":
        return f"{name} asked for with --depth head"
    fault = plan_work(context, selected, replaced)
    if fault:
        context.warnings.append(f"No tuning: {fault}.")
        return fault
    begin = time.perf_counter()
    outputs, rows, curve = _out_of_fold(context, selected, replaced)
    if outputs is None:
        context.warnings.append("The budget ended during tuning; the rung before was kept.")
        return "the budget ended during tuning"
    rung = _tuned_rung(context, selected, replaced, outputs, rows, curve)
    rung.seconds = time.perf_counter() - begin
    tuned.rungs.append(rung)
    assert rung.difference is not None
    context.run.log(
        "rung",
        name=rung.name,
        score=rung.score.to_json(),
        difference=rung.difference.to_json(),
        rung_seconds=rung.seconds,
    )
    told = _told(context, rung)
    if forced != "block" and not rung.difference.high < 0:
        return f"tuning the {context.task.tuned_part} did not pay: {told}, and the interval does not exclude zero"
    final = _train_final(context, selected, replaced)
    rung.seconds = time.perf_counter() - begin
    if final is None:
        context.warnings.append("The budget ended before the tuned rung could be trained on all rows.")
        return "the budget ended before the tuned rung could be trained on all rows"
    tuned.module = final
    if forced == "block":
        return f"asked for with --depth block; {told}"
    return f"tuning the {context.task.tuned_part} paid: {told}"


def _told(context: Context, rung: Rung) -> str:
    metric = context.task.head.decision_metric.replace("_", "-")
    assert rung.difference is not None
    low, high = rung.difference.low, rung.difference.high
    return f"{metric} {rung.difference.value:+.3f} on held-out folds (90% interval {low:+.3f} to {high:+.3f})"


def _train(
    context: Context, selected: Selected, base: Any, rows: Rows, held: Rows | None, what: str, seed: int
) -> Trained:
    """One training from a base, with progress and the clock."""
    head, problem = context.task.head, selected.problem
    recipe, epochs = problem.backbone.recipe, context.plan.epochs or 1
    total = epochs * -(-len(rows) // recipe.batch_size)
    ticks = iter(context.reporter.track(range(total), what, total))
    next(ticks, None)

    def tick() -> None:
        next(ticks, None)

    trained = train(
        head.build(problem, base),
        rows,
        step_loss(context, selected),
        recipe,
        epochs,
        seed,
        lengths(context, selected),
        evaluate=(lambda module: head.dev_loss(problem, module, held)) if held is not None else None,
        out_of_time=lambda: context.clock.left() < context.reserve_seconds,
        on_step=tick,
    )
    for _ in ticks:
        pass
    context.run.log(
        "trained",
        what=what,
        steps=trained.steps,
        train_seconds=trained.seconds,
        stopped=trained.stopped,
        curve=trained.curve,
    )
    return trained


def _out_of_fold(context: Context, selected: Selected, replaced: Replaced) -> tuple[Any, Rows, list[dict[str, float]]]:
    """Tuned outputs for the rows of the planned folds; None where time ran out or training failed."""
    split, head = context.split, context.task.head
    outputs, rows, curves = [], [], []
    for fold in range(context.plan.tune_folds or 1):
        held: Rows = split.dev[split.folds == fold]
        what = f"Tuning the {context.task.tuned_part}, fold {fold + 1} of {context.plan.tune_folds}"
        trained = _train(
            context,
            selected,
            replaced.bases[fold],
            split.dev[split.folds != fold],
            held,
            what,
            context.settings.seed + fold,
        )
        if trained.stopped:
            context.warnings.append(f"Tuning stopped: {trained.stopped}.")
            return None, split.dev[:0], []
        outputs.append(head.outputs(selected.problem, trained.module, held, context.reporter))
        rows.append(held)
        curves.append(trained.curve)
    mean_curve = [
        {key: float(np.mean([c[i][key] for c in curves])) for key in curves[0][i]} for i in range(len(curves[0]))
    ]
    return np.concatenate(outputs), np.concatenate(rows), mean_curve


def _tuned_rung(
    context: Context, selected: Selected, replaced: Replaced, outputs: Any, rows: Rows, curve: list[dict[str, float]]
) -> Rung:
    """Compare with the rung before on the same rows, both calibrated."""
    head, problem, before = context.task.head, selected.problem, replaced.rung
    position = {int(r): i for i, r in enumerate(before.rows)}
    theirs = before.outputs[[position[int(r)] for r in rows]]
    scored = []
    for values in (outputs, theirs):
        temperature = head.calibrate(problem, values, rows)
        scored.append(head.row_scores(problem, head.tempered(values, temperature), rows))
    (ours_n, denominators), (theirs_n, _) = scored
    difference = paired_difference(ours_n, theirs_n, denominators, problem.groups[rows], context.rng(2))
    epochs = context.plan.epochs or 0
    description = f"{context.task.tuned_part} tuned from cached states, {epochs} epoch{'s' if epochs != 1 else ''}"
    return Rung(
        context.task.rungs[1],
        description,
        score_of(context, selected, outputs, rows),
        outputs,
        rows,
        0.0,
        difference,
        curve,
    )


def _train_final(context: Context, selected: Selected, replaced: Replaced) -> nn.Module | None:
    what = f"Tuning the {context.task.tuned_part} on all development rows"
    trained = _train(context, selected, replaced.final, context.split.dev, None, what, context.settings.seed + 100)
    return None if trained.stopped else trained.module
