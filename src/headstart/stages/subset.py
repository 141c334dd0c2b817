"""Take fewer rows where one pass of the network over all development rows would not fit the budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headstart.data.folds import grouped_folds
from headstart.data.split import group_indices, label_indices
from headstart.features import missing_from_cache
from headstart.problem import Rows
from headstart.stages.context import Context
from headstart.stages.select import Selected

PASS_SHARE = 0.9  # of the seconds left, after those for saving and the stock loader's pass over the test rows
SAVING_S = 20.0
PARTS = 50  # rows are left out by fiftieths
MIN_ROWS = 100


def fit_rows_to_budget(context: Context, selected: Selected) -> None:
    """Replace the context's development rows by a stratified part of them (whole groups) where all do not fit."""
    split, rows = context.split, len(context.split.dev)
    wanted = context.plan.dev_rows
    if wanted is None:
        wanted = _affordable(context, selected)
        wanted = rows if _missing(context, selected) <= wanted else wanted
    context.plan = context.plan.with_(dev_rows=min(wanted, rows))
    if wanted >= rows:
        return
    kept = _part(context, wanted)
    labels, groups = label_indices(context.dataset)[kept], group_indices(context.dataset)[kept]
    folds = grouped_folds(labels, groups, split.n_folds, context.settings.seed + 1)
    context.split = replace(split, dev=kept, folds=folds.astype(np.int64))
    told = (
        f"{len(kept)} of {rows} rows are learnt from: one pass of the network over all of them would not fit the budget"
    )
    context.warnings.append(f"{told}. Give more time with --budget to use them all.")
    context.reporter.say(told)
    context.run.log("rows", kept=len(kept), of=rows, examples_per_second=selected.extractor.rate)


def _missing(context: Context, selected: Selected) -> int:
    """Rows that no earlier run left in the cache."""
    digests = list({context.dataset.examples[r].digest for r in context.split.dev})
    view = selected.problem.backbone.views[0]
    return len(missing_from_cache(selected.extractor, digests, view, context.reporter))


def _affordable(context: Context, selected: Selected) -> int:
    """Rows that one pass can take in."""
    scored_s = len(context.split.test) / selected.extractor.stock_rate
    left = context.clock.left() - scored_s - SAVING_S
    return max(MIN_ROWS, int(PASS_SHARE * left * selected.extractor.rate))


def _part(context: Context, wanted: int) -> Rows:
    """About that many development rows, in their order: whole groups, stratified by class."""
    dev = context.split.dev
    labels, groups = label_indices(context.dataset)[dev], group_indices(context.dataset)[dev]
    n_parts = min(PARTS, len(np.unique(groups)))
    parts: NDArray[np.integer] = grouped_folds(labels, groups, n_parts, context.settings.seed + 4)
    kept = parts < max(1, int(wanted / len(dev) * n_parts))
    for label in np.unique(labels):
        if len(np.unique(groups[kept & (labels == label)])) < 2:  # too rare to be thinned out
            kept |= labels == label
    return np.asarray(dev[kept])
