"""Scratch beside transfer: how far the same network gets from random weights in a small share of the budget."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.backbones.backbone import SCRATCH
from headstart.errors import HeadstartError, RunError
from headstart.problem import Rows
from headstart.stages.context import SCRATCH_SHARE, Context
from headstart.stages.finetune import Tuned
from headstart.stages.from_random import Timeline, from_random, headline, longest_share, scored_rows
from headstart.stages.keep import KeptContent, labelled
from headstart.stages.select import STEP_PASSES, Selected

REPORT_S = 6.0
MIN_STEPS = 3
MARKS = (0.5,)  # of the seconds: scored there, and at the end
SCORING_SHARE = 0.35  # of the seconds, for both
MIN_SCORED = 40


def scratch_beside(context: Context, selected: Selected, tuned: Tuned) -> dict[str, Any] | None:
    """The content of result.json's `scratch`; None where the task's control is the untuned model.

    Both are scored on the same development rows, which neither has learnt from: those of the first fold. Transfer's
    seconds count from the start of the run, with reading and extraction; those from random weights are of training
    alone.
    """
    if context.task.control_is_untuned:
        return None
    named = ["scratch", context.task.name, selected.problem.backbone.key, str(context.settings.seed)]
    named += [labelled(context, context.split.dev)]
    before = KeptContent(context, named, "training from random weights")
    # no longer than transfer took
    limit_s = min(SCRATCH_SHARE * context.clock.budget_seconds, context.clock.left() - REPORT_S, tuned.chosen.reached_s)
    content: dict[str, Any]
    try:
        measured = before.read()
        if kept := measured is not None and measured["budget"] >= context.clock.budget_seconds:
            held: Rows = context.split.dev[np.array(measured["held"], dtype=np.int64)]
            points = measured["points"]
        else:
            held, points = _measured(context, selected, limit_s)
        content = {"metric": context.task.headline, "rows": len(held), "points": points, "kept": kept}
        content["transfer"] = _transfer_points(context, selected, tuned, held)
        content["sentence"] = _sentence(context, content)
        if not kept:
            places = np.flatnonzero(np.isin(context.split.dev, held)).tolist()
            before.write({"held": places, "points": points, "budget": context.clock.budget_seconds})
    except KeyboardInterrupt:
        context.warnings.append("Interrupted while a network was trained from random weights.")
        return None
    except HeadstartError as error:
        content = {"skipped": str(error)}
    context.run.log("scratch", **content)
    return content


def _measured(context: Context, selected: Selected, limit_s: float) -> tuple[Rows, list[dict[str, float]]]:
    """The rows that were scored, and their score after seconds of training.

    Raises RunError, with what it would take, where the time is too short for it.
    """
    if limit_s <= 0:
        raise RunError("no time is left")
    split, task = context.split, context.task
    rate, learnt = selected.extractor.stock_rate, split.dev[split.folds != 0]
    affordable = int(SCORING_SHARE * limit_s * rate / (len(MARKS) + 1))
    held = scored_rows(split.dev[split.folds == 0], max(MIN_SCORED, affordable))
    scoring_s = len(held) / rate
    end = context.clock.spent() + limit_s - scoring_s  # the last scoring comes after it
    recipe = selected.problem.backbone.recipe(SCRATCH)
    step_s = STEP_PASSES * recipe.batch_size * longest_share(selected.problem, learnt) / rate
    if limit_s < MIN_STEPS * step_s + (len(MARKS) + 1) * scoring_s:
        raise RunError(f"a step would take about {step_s:.1f} s, and {limit_s:.0f} s are left for it")
    random = from_random(task, selected.problem)
    module = random.build(selected.problem.seed)
    left = end - context.clock.spent()
    steps = int(left / step_s)
    timeline = Timeline([share * left for share in MARKS], lambda: random.score(random.outputs(module, held), held))
    epochs = max(1, min(recipe.max_epochs, steps // random.steps_per_epoch(learnt)))
    trained = random.fit(
        module, learnt, epochs, context.reporter, "From random weights", lambda: context.clock.spent() > end, timeline
    )
    if not trained.steps:
        raise RunError(trained.stopped)
    return held, [{"seconds": p.seconds, "value": p.value} for p in timeline.points]


def _transfer_points(context: Context, selected: Selected, tuned: Tuned, held: Any) -> list[dict[str, Any]]:
    """What each rung scores on these rows, and the seconds after which it was known."""
    found = []
    for rung in tuned.rungs:
        if (outputs := rung.outputs_for(held)) is None:
            continue
        predictions = context.task.head.predictions(selected.problem, outputs, held)
        value = headline(context.task, selected.problem, predictions, held)
        found.append({"name": rung.name, "seconds": rung.reached_s, "value": value})
    return found


def _sentence(context: Context, content: dict[str, Any]) -> str:
    points, transfer = content["points"], content["transfer"]
    if not transfer:
        return ""
    better = min if context.task.lower_is_better else max
    best = better(points, key=lambda p: p["value"])
    first = transfer[0]
    reached = best["value"] <= first["value"] if context.task.lower_is_better else best["value"] >= first["value"]
    told = (
        f"Transfer reached {100 * first['value']:.1f}% on {content['rows']} held-back rows {first['seconds']:.0f} s "
        "after the start"
    )
    spent, earlier = points[-1]["seconds"], " in an earlier run" if content["kept"] else ""
    if reached:
        after = f"{best['seconds']:.0f} s of training"
        return f"{told}; from random weights {100 * best['value']:.1f}% after {after}{earlier}"
    return f"{told}; from random weights not within {spent:.0f} s of training{earlier} ({100 * best['value']:.1f}%)"
