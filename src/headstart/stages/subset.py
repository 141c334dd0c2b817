"""Take fewer rows where one pass of the network over all of them, or their answers, would not fit the budget."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.backbone import Timed
from headstart.data.draw import Drawing
from headstart.data.folds import grouped_folds
from headstart.data.split import Split, drawing_of, group_indices, label_indices
from headstart.features import extract
from headstart.problem import Rows
from headstart.stages.context import Context, begins_with_inputs
from headstart.stages.select import STEP_PASSES, Selected, are_missing
from headstart.types import Dataset

PASS_SHARE = 0.9  # of the seconds left, after those for the rest and the stock loader's pass over the test rows
REST_S = 15.0  # for heads, saving, the score of the controls, findings and the report
REST_ROW_S = 2e-5  # of that for each example of the data, learnt from or not: looking for copies, the naive baseline
SCORING_SHARE = 0.35  # of the budget, for the stock loader's pass over the test rows
SCORED_OF_LEFT = 0.5  # at most, of the seconds that are left for it and for learning
MIN_ROWS = 100
MIN_SCORED = 30  # test rows that are answered in any case
ANSWERED = 24  # held-out rows that answering is timed on
DECIDING_SHARE = 0.1  # of the budget, for one rung's answers to the rows that decide on depth
FIRST_SHARE = 0.2  # the same where the whole network is tuned first: the one rung whose answers need its passes


def time_answers(context: Context, selected: Selected) -> None:
    """Where an answer is costly: time the untuned model's to a few held-out rows, and settle how many rows decide."""
    limit = context.task.decision_rows
    if limit is None:
        return
    problem = selected.problem
    sample = context.held_rows(0, ANSWERED)
    if not problem.backbone.reads_targets:
        examples = [context.dataset.examples[r] for r in sample]
        extract(selected.extractor, examples, problem.backbone.views[:1], context.reporter, "Features")
    fresh = replace(problem, memo={})  # selection may have answered some of them
    begin = time.perf_counter()
    context.task.head.base_outputs(fresh, None, sample, context.reporter)
    context.answer_s = (time.perf_counter() - begin) / max(1, len(sample))
    for name, known in fresh.memo.items():
        problem.memo.setdefault(name, {}).update(known)
    wanted = context.plan.decision_rows
    if wanted is None:
        share, answer_s = DECIDING_SHARE, context.answer_s
        if begins_with_inputs(context, problem.backbone):
            share, answer_s = FIRST_SHARE, answer_s + 1.0 / selected.extractor.stock_rate
        affordable = int(share * context.clock.budget_seconds / max(answer_s, 1e-6))
        wanted = min(limit, max(ANSWERED, affordable))
    context.plan = context.plan.with_(decision_rows=wanted)
    context.run.log("answers", rows=len(sample), seconds_per_row=context.answer_s, deciding_rows=wanted)


def fit_rows_to_budget(context: Context, selected: Selected) -> None:
    """Replace the context's development rows by a stratified part of them (whole groups) where all do not fit."""
    split, rows, from_inputs = context.split, len(context.split.dev), _learns_from_inputs(context, selected)
    wanted, drawing = context.plan.dev_rows, None
    if wanted is None:
        costly, affordable = _costly(context, selected), _affordable(context, selected)
        wanted = rows
        if costly.sum() > max(affordable, MIN_ROWS):
            drawing = drawing_of(context.dataset, split.dev, context.settings.seed)
            wanted = max(MIN_ROWS, drawing.affordable(costly, affordable))
    context.plan = context.plan.with_(dev_rows=min(wanted, rows))
    if wanted >= rows:
        return
    context.split = part_of(context.dataset, split, wanted, context.settings.seed, drawing)
    kept = len(context.split.dev)
    if kept == rows:  # the first groups of each class are all there are
        return
    what = "epoch" if from_inputs else "pass of the network"
    told = f"{kept} of {rows} rows are learnt from: one {what} over all of them would not fit the budget"
    context.warnings.append(f"{told}. Give more time with --budget to use them all.")
    context.reporter.say(told)
    context.run.log("rows", kept=kept, of=rows, examples_per_second=selected.extractor.rate)


def score_fewer_rows(context: Context, selected: Selected) -> None:
    """Replace the context's test rows by a stratified part of them (whole groups) where the stock loader's answers to
    all would take more than their share of the budget.
    """
    split, rows = context.split, len(context.split.test)
    wanted = context.plan.test_rows
    if wanted is None:
        left = context.clock.left() - _rest_s(context)
        seconds = SCORING_SHARE * context.clock.budget_seconds
        if seconds > SCORED_OF_LEFT * left:
            learning_s = _costly(context, selected).sum() / _learnt_rate(context, selected)
            seconds = min(seconds, max(SCORED_OF_LEFT * left, left - learning_s))
        wanted = max(MIN_SCORED, int(seconds / _scoring_s(context, selected)))
    context.plan = context.plan.with_(test_rows=min(wanted, rows))
    if wanted >= rows:
        return
    drawing = drawing_of(context.dataset, split.test, context.settings.seed)
    test: Rows = split.test[drawing.part(wanted)]
    context.split = replace(split, test=test)
    told = f"{len(test)} of {rows} test rows are scored: more would not fit the budget"
    context.warnings.append(f"{told}. Give more time with --budget to score them all.")
    context.reporter.say(told)


def _affordable(context: Context, selected: Selected) -> int:
    """Rows that one pass, or one epoch, can take in."""
    scored_s = len(context.split.test) * _scoring_s(context, selected)
    left = context.clock.left() - scored_s - _rest_s(context)
    return max(0, int(PASS_SHARE * left * _learnt_rate(context, selected)))


def _costly(context: Context, selected: Selected) -> NDArray[np.bool_]:
    """Which development rows take time before they are learnt from: what is cached takes no pass."""
    if _learns_from_inputs(context, selected):
        return np.ones(len(context.split.dev), dtype=bool)
    return are_missing(context, selected.extractor)


def _rest_s(context: Context) -> float:
    """Seconds for all that is neither a pass over rows to learn from nor the stock loader's."""
    return REST_S + REST_ROW_S * len(context.dataset.examples)


def _learnt_rate(context: Context, selected: Selected) -> float:
    """Rows a second of one pass; of an epoch, on torch, where rows are learnt from as they come."""
    if not _learns_from_inputs(context, selected):
        return selected.extractor.rate
    backbone, rows = cast(Timed, selected.problem.backbone), context.split.dev
    whole = backbone.whole_length
    needed = [min(whole, backbone.step_length(context.dataset.examples[row])) for row in rows]
    return selected.extractor.stock_rate * whole / (STEP_PASSES * float(np.mean(needed)))


def _learns_from_inputs(context: Context, selected: Selected) -> bool:
    """Whether the whole network is tuned first, by steps that need a part of each input; no pass comes before."""
    backbone = selected.problem.backbone
    return isinstance(backbone, Timed) and begins_with_inputs(context, backbone)


def _scoring_s(context: Context, selected: Selected) -> float:
    """Seconds that the stock loader takes for a test row."""
    return context.passes_per_test / selected.extractor.stock_rate + context.answer_s


def part_of(dataset: Dataset, split: Split, wanted: int, seed: int, drawing: Drawing | None = None) -> Split:
    """The split with that many development rows, or a few less, in their order: whole groups, stratified by class.

    Some of every class are among them, however few are wanted. drawing: of the development rows, where it is known.
    """
    dev, n_folds = split.dev, split.n_folds
    labels, groups = label_indices(dataset), group_indices(dataset)
    drawing = drawing or drawing_of(dataset, dev, seed)
    kept = drawing.learnable(wanted)
    rows: Rows = dev[kept]
    folds = split.folds[kept]
    spread = [len(np.unique(folds[labels[rows] == label])) for label in np.unique(labels[rows])]
    if len(np.unique(folds)) < n_folds or min(spread) < 2:  # else a fold stays what it was, a value of a column perhaps
        folds = grouped_folds(labels[rows], groups[rows], n_folds, seed + 1).astype(np.int64)
    return replace(split, dev=rows, folds=folds)
