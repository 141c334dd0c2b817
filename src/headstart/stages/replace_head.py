"""Replace the head: extract the development rows' features once, then fit the new head on them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.features import extract
from headstart.metrics.intervals import drawn_interval, interval
from headstart.problem import Rows
from headstart.stages.context import Context, Rung, begins_with_inputs
from headstart.stages.select import Selected


@dataclass
class Replaced:
    """bases: the head fitted without each fold, for out-of-fold outputs; final: fitted on all development rows."""

    final: Any
    bases: list[Any]
    seconds_per_output: float
    rung: Rung


def replace_head(context: Context, selected: Selected) -> Replaced:
    """Fit the untuned head on each fold's complement and on everything."""
    problem, head, split = selected.problem, context.task.head, context.split
    begin = time.perf_counter()
    examples = [context.dataset.examples[r] for r in split.dev]
    if begins_with_inputs(context, problem.backbone):  # the other rows' states are made when a depth wants them
        examples = [context.dataset.examples[r] for r in np.unique(context.deciding_rows)]
    extract(selected.extractor, examples, problem.backbone.views[:1], context.reporter, "Features")
    context.run.log("features", extracted=selected.extractor.misses, extraction_seconds=selected.extractor.seconds)
    if cut_off := problem.backbone.cut_off(examples):
        why = f" ({selected.reading_check})" if selected.reading_check else ""
        context.warnings.append(f"{cut_off}; of each only the beginning counts{why}.")
    # cross-validation scores the choice of head too, so that there each fold chooses anew
    anew = split.method == "cross-validation"
    fitted = head.fit_base(problem, split.dev, None if anew else split.folds)
    for trial in fitted.trace:
        context.run.log("head", **trial)
    bases, outputs, rows = [], [], []
    fitted_at = time.perf_counter()
    for fold in context.used_folds:
        base = head.fit_base(problem, split.dev[split.folds != fold]).base if anew else fitted.fold_bases[fold]
        held = context.held_rows(fold)
        bases.append(base)
        outputs.append(head.base_outputs(problem, base, held, context.reporter))
        rows.append(held)
    joined, all_rows = np.concatenate(outputs), np.concatenate(rows)
    each = max(context.answer_s, (time.perf_counter() - fitted_at) / len(all_rows))  # some were answered before
    rung = Rung(
        context.task.untuned,
        head.describe_base(fitted.base),
        score_of(context, selected, joined, all_rows),
        joined,
        all_rows,
        time.perf_counter() - begin,
        reached_s=context.clock.spent(),
    )
    context.run.log("rung", name=rung.name, score=rung.score.to_json(), rung_seconds=rung.seconds)
    return Replaced(fitted.base, bases, each, rung)


def decide_on_fewer(context: Context, selected: Selected, replaced: Replaced) -> None:
    """Leave the untuned rung with the rows that decide now, as if the others had never been answered."""
    rung, rows = replaced.rung, context.deciding_rows
    kept = rung.outputs_for(rows)
    assert kept is not None  # smaller parts lie in larger ones
    rung.outputs, rung.rows, rung.score = kept, rows, score_of(context, selected, kept, rows)


def score_of(
    context: Context, selected: Selected, outputs: Any, rows: Rows, weights: NDArray[np.float64] | float = 1.0
) -> Any:
    """The decision metric with its 95% interval, after calibration. weights: how many rows each of these stands for."""
    head, problem = context.task.head, selected.problem
    drawn = head.draws(problem, outputs, rows)
    if drawn is not None:
        return drawn_interval(*drawn, len(np.unique(problem.groups[rows])))
    temperature = head.calibrate(problem, outputs, rows)
    numerators, denominators = head.row_scores(problem, head.tempered(outputs, temperature), rows)
    return interval(weights * numerators, weights * denominators, problem.groups[rows], context.rng(1))
