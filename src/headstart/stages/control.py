"""What transfer is compared with: the same task without it, beside what ships."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.problem import Rows
from headstart.stages.context import Context
from headstart.stages.control_plan import ControlSize, control_size
from headstart.stages.finetune import Tuned
from headstart.stages.keep import KeptContent, labelled
from headstart.stages.select import Selected
from headstart.stock_process import prediction_of
from headstart.tasks.task import Control, ControlSetup, Scores
from headstart.types import Prediction


def measured_control(
    context: Context,
    selected: Selected,
    tuned: Tuned,
    shipped: tuple[list[Prediction], Scores],
    train: Rows,
    test: Rows,
    output_s: float,
) -> dict[str, Any] | None:
    """The control's scores and the paired gain of ours over it; None where it does not fit the budget.

    shipped: predictions for the test rows by what ships, and their scores. output_s: seconds from a row's cached state
    to its answer.
    """
    predictions, scores = shipped
    if context.task.control_is_untuned and tuned.module is None:
        return _is_shipped(context, scores, selected.problem.groups[test])
    control, size = _control(context, selected, train, test, control_size(context, selected, output_s, len(test)))
    context.plan = context.plan.with_(control_labels=size.labels if size else 0, control_rows=size.rows if size else 0,
                                         control_engine=size.engine if size else None)  # fmt: skip
    if control is None:
        context.warnings.append("The control did not fit the budget.")
        return None
    groups = selected.problem.groups[control.rows]
    theirs = context.task.score(control.predictions, groups, context.rng(6))
    own = {int(r): p for r, p in zip(test, predictions)}
    ours = context.task.score(control.transfer or [own[int(r)] for r in control.rows], groups, context.rng(6))
    return {
        "name": control.name,
        "metrics": theirs.to_json(),
        "transfer_metrics": ours.to_json() if control.transfer is not None else None,
        "labels": control.labels or None,
        "gain": context.task.gain(ours, theirs, groups, context.rng(7)).to_json(),
    }


def _control(
    context: Context, selected: Selected, train: Rows, test: Rows, size: ControlSize | None
) -> tuple[Control | None, ControlSize | None]:
    """Of that size, or what an earlier run with no smaller a budget measured on the same rows; and its size."""
    if context.task.control_is_untuned:  # its answers depend on how they are decoded
        return None if size is None else _run(context, selected, train, test, size), size
    named = ["control", context.task.name, selected.problem.backbone.key, selected.extractor.engine.key]
    named += [str(context.settings.seed), labelled(context, train), labelled(context, test)]
    before = KeptContent(context, named, "control")
    if (content := before.read()) and _serves(context, content, size):
        rows = test[np.array(content["rows"], dtype=np.int64)]
        ours = content["transfer"] and _restored(context, rows, content["transfer"])
        theirs = _restored(context, rows, content["predictions"])
        context.run.log("control kept", **content["size"])
        return Control(content["name"], theirs, ours, content["labels"], rows), ControlSize(**content["size"])
    if size is None:
        return None, None
    control = _run(context, selected, train, test, size)
    place = {int(r): i for i, r in enumerate(test)}
    before.write({
        "name": control.name, "labels": control.labels, "rows": [place[int(r)] for r in control.rows],
        "predictions": [p.to_json() for p in control.predictions], "size": asdict(size),
        "budget": context.clock.budget_seconds,
        "transfer": control.transfer and [p.to_json() for p in control.transfer],
    })  # fmt: skip
    return control, size


def _run(context: Context, selected: Selected, train: Rows, test: Rows, size: ControlSize) -> Control:
    setup = ControlSetup(selected.extractor, size.labels, size.rows, context.reporter, size.engine)
    return context.task.control(selected.problem, train, test, setup)


def _serves(context: Context, content: dict[str, Any], wanted: ControlSize | None) -> bool:
    """Whether a kept control had as much time as this one would have; a replayed plan asks for that very size."""
    if context.settings.plan:
        kept = ControlSize(**content["size"])
        return wanted is not None and replace(kept, seconds=0.0) == replace(wanted, seconds=0.0)
    return bool(content["budget"] >= context.clock.budget_seconds)


def _restored(context: Context, rows: Rows, kept: list[dict[str, Any]]) -> list[Prediction]:
    examples = (context.dataset.examples[r] for r in rows)
    return [prediction_of(e.id, e.target, row) for e, row in zip(examples, kept)]


def _is_shipped(context: Context, scores: Scores, groups: NDArray[np.int64]) -> dict[str, Any]:
    """The untuned model is what ships, and its answers are there."""
    return {
        "name": f"{context.task.untuned} model",
        "metrics": scores.to_json(),
        "transfer_metrics": None,
        "labels": None,
        "gain": context.task.gain(scores, scores, groups, context.rng(7)).to_json(),
        "shipped": True,
    }
