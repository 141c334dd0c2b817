"""Take fewer rows where one pass of the network over all of them, or their answers, would not fit the budget."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.backbone import Timed
from headstart.data.folds import grouped_folds
from headstart.data.split import Split, group_indices, label_indices
from headstart.features import extract
from headstart.problem import Rows
from headstart.stages.context import Context, begins_with_inputs
from headstart.stages.select import STEP_PASSES, Selected, missing_rows
from headstart.types import Dataset

PASS_SHARE = 0.9  # of the seconds left, after those for saving and the stock loader's pass over the test rows
SAVING_S = 20.0
SCORING_SHARE = 0.35  # of the budget, for the stock loader's pass over the test rows
PARTS = (50, 200)  # rows are left out by fiftieths, or by smaller parts where fewer than that are wanted
MIN_ROWS = 100
MIN_SCORED = 30  # test rows that are answered in any case
ANSWERED = 24  # held-out rows that answering is timed on
DECIDING_SHARE = 0.1  # of the budget, for one rung's answers to the rows that decide on depth
FIRST_SHARE = 0.2  # the same where the whole network is tuned first: the one rung whose answers need its passes
REPORT_S = 6.0  # of the seconds left, for saving and the report


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
    split, rows = context.split, len(context.split.dev)
    wanted = context.plan.dev_rows
    if wanted is None:
        wanted = _affordable(context, selected)
        computed = rows if _learns_from_inputs(context, selected) else missing_rows(context, selected.extractor)
        wanted = rows if computed <= wanted else wanted
    context.plan = context.plan.with_(dev_rows=min(wanted, rows))
    if wanted >= rows:
        return
    context.split = part_of(context.dataset, split, wanted, context.settings.seed)
    kept = len(context.split.dev)
    what = "epoch" if _learns_from_inputs(context, selected) else "pass of the network"
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
        seconds = min(SCORING_SHARE * context.clock.budget_seconds, context.clock.left() - REPORT_S)
        wanted = max(MIN_SCORED, int(seconds / _scoring_s(context, selected)))
    context.plan = context.plan.with_(test_rows=min(wanted, rows))
    if wanted >= rows:
        return
    dataset, seed = context.dataset, context.settings.seed
    labels, groups = label_indices(dataset)[split.test], group_indices(dataset)[split.test]
    n_parts = _parts(groups, wanted)
    parts = grouped_folds(labels, groups, n_parts, seed + 5)
    test: Rows = split.test[parts < max(1, round(wanted / rows * n_parts))]
    context.split = replace(split, test=test)
    told = f"{len(test)} of {rows} test rows are scored: more would not fit the budget"
    context.warnings.append(f"{told}. Give more time with --budget to score them all.")
    context.reporter.say(told)


def _affordable(context: Context, selected: Selected) -> int:
    """Rows that one pass, or one epoch, can take in."""
    scored_s = len(context.split.test) * _scoring_s(context, selected)
    left = context.clock.left() - scored_s - SAVING_S
    return max(MIN_ROWS, int(PASS_SHARE * left * _learnt_rate(context, selected)))


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


def _parts(groups: NDArray[np.int64], wanted: int) -> int:
    """Into how many parts to divide rows, so that some of these hold about the wanted number."""
    return min(int(np.clip(len(groups) / max(1, wanted), *PARTS)), len(np.unique(groups)))


def part_of(dataset: Dataset, split: Split, wanted: int, seed: int) -> Split:
    """The split with about that many development rows, in their order: whole groups, stratified by class."""
    dev, n_folds = split.dev, split.n_folds
    labels, groups = label_indices(dataset), group_indices(dataset)
    n_parts = _parts(groups[dev], wanted)
    parts: NDArray[np.integer] = grouped_folds(labels[dev], groups[dev], n_parts, seed + 4)
    kept = parts < max(1, int(wanted / len(dev) * n_parts))
    for label in np.unique(labels[dev]):
        of_class = labels[dev] == label
        if len(np.unique(groups[dev][kept & of_class])) < 2:  # too rare to be thinned out
            kept |= of_class
    rows: Rows = dev[kept]
    folds = grouped_folds(labels[rows], groups[rows], n_folds, seed + 1)
    return replace(split, dev=rows, folds=folds.astype(np.int64))
