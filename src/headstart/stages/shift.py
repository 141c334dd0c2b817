"""How the model does on values of a column that it has not learnt from, and what it loses there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.folds import grouped_folds
from headstart.data.shift import shift_values
from headstart.problem import Rows
from headstart.stages.context import Context
from headstart.stages.finetune import Tuned
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected
from headstart.types import Silent

MOST_VALUES = 20  # that are told, those with the most rows
MIN_ROWS = 5


def shift(context: Context, selected: Selected, replaced: Replaced, tuned: Tuned) -> dict[str, Any] | None:
    """The content of result.json's `shift`; None where no --shift-column was given.

    values: for each value of the column, `rungs`: the headline metric of each rung on its development rows, by networks
    that learnt from other values alone; `mixed`: the untuned head's by random folds, which have met the value; `loss`:
    how much worse the untuned head is where it has not, paired. Folds by values also chose the depth and how far to go.
    """
    column = context.settings.shift_column
    if column is None:
        return None
    values = np.array(shift_values(context.dataset, column))
    mixed = _mixed_outputs(context, selected, replaced)
    dev, found = context.split.dev, []
    names, counts = np.unique(values[dev], return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")][:MOST_VALUES]:
        rows = dev[values[dev] == name]
        if len(rows) >= MIN_ROWS:
            found.append({"value": str(name), "rows": len(rows)} | _scores(context, selected, tuned, mixed, rows))
    content = {"column": column, "metric": context.task.headline, "folds": context.split.n_folds, "values": found}
    content["sentence"] = _sentence(context, tuned, content)
    context.run.log("shift", **content)
    _warn(context, content)
    return content


def _mixed_outputs(context: Context, selected: Selected, replaced: Replaced) -> NDArray[Any] | None:
    """Outputs of the untuned head for all development rows by random folds; None where no head is fitted."""
    split, problem, head = context.split, selected.problem, context.task.head
    if replaced.final is None:
        return None
    labels, groups = problem.labels[split.dev], problem.groups[split.dev]
    folds = grouped_folds(labels, groups, split.n_folds, context.settings.seed + 1)
    outputs: NDArray[Any] | None = None
    for fold in np.unique(folds):
        base = head.refit_base(problem, split.dev[folds != fold], like=replaced.final)
        made = np.asarray(head.base_outputs(problem, base, split.dev[folds == fold], Silent()))
        outputs = np.zeros((len(split.dev), *made.shape[1:]), dtype=made.dtype) if outputs is None else outputs
        outputs[folds == fold] = made
    return outputs


def _scores(
    context: Context, selected: Selected, tuned: Tuned, mixed: NDArray[Any] | None, rows: Rows
) -> dict[str, Any]:
    task, problem, groups = context.task, selected.problem, selected.problem.groups[rows]
    made = {}
    for rung in tuned.rungs:
        if (outputs := rung.outputs_for(rows)) is not None:
            made[rung.name] = task.score(task.head.predictions(problem, outputs, rows), groups, context.rng(41))
    found: dict[str, Any] = {
        "rungs": [{"name": name, "score": s.metrics[task.headline].to_json()} for name, s in made.items()]
    }
    if mixed is not None and task.untuned in made:
        outputs = mixed[np.searchsorted(context.split.dev, rows)]
        with_its_like = task.score(task.head.predictions(problem, outputs, rows), groups, context.rng(41))
        loss = task.gain(with_its_like, made[task.untuned], groups, context.rng(42))
        found |= {"mixed": with_its_like.metrics[task.headline].to_json(), "loss": loss.to_json()}
    return found


def _sentence(context: Context, tuned: Tuned, content: dict[str, Any]) -> str:
    """The value that is recognised worst when it was not learnt from."""
    shipped = tuned.chosen.name
    scored = [(v, r["score"]) for v in content["values"] for r in v["rungs"] if r["name"] == shipped]
    if not scored:
        return ""
    worst = max if context.task.lower_is_better else min
    value, score = worst(scored, key=lambda pair: pair[1]["value"])
    told = (
        f"learnt from other values of {content['column']!r} alone, it reaches {100 * score['value']:.1f}% "
        f"(95% interval {100 * score['low']:.1f} to {100 * score['high']:.1f}) on {value['value']!r}, the lowest of "
        f"{len(scored)}"
    )
    if loss := value.get("loss"):
        told += (
            f"; the untuned head loses {100 * loss['value']:.1f} points there ({100 * loss['low']:.1f} to "
            f"{100 * loss['high']:.1f}) against having met such rows"
        )
    return told


def _warn(context: Context, content: dict[str, Any]) -> None:
    lost = [v for v in content["values"] if v.get("loss") and v["loss"]["low"] > 0]
    if lost:
        names = ", ".join(repr(v["value"]) for v in lost[:3])
        context.warnings.append(
            f"The model does worse on a value of {content['column']!r} that it has not learnt from ({names}): expect "
            "less than the score on inputs of further values."
        )
