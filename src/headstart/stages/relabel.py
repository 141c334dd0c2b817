"""What right labels would bring: the untuned head fitted with the suggested ones, judged on rows that nobody doubts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.metrics.intervals import paired_difference
from headstart.problem import Rows
from headstart.stages.context import Context
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected
from headstart.types import Silent

REPORT_S = 10.0  # kept for what comes after


def relabelling_gain(
    context: Context, selected: Selected, replaced: Replaced, listed: Rows, suggested: NDArray[np.int64]
) -> dict[str, Any]:
    """Change of the out-of-fold accuracy on the development rows that are not listed, when the listed ones are learnt
    with the labels that are suggested for them.

    Both heads are of the kind that was chosen, each fold's fitted anew. Empty where there is no time, or where no row
    is left to judge on. The interval is paired, 95%.
    """
    split, problem = context.split, selected.problem
    if context.clock.left() < replaced.rung.seconds + REPORT_S:
        return {}
    labels = problem.labels.copy()
    labels[listed] = suggested
    right = replace(problem, labels=labels, memo={})
    before: list[NDArray[np.bool_]] = []
    after: list[NDArray[np.bool_]] = []
    judged: list[Rows] = []
    for fold in range(split.n_folds):
        learnt, held = split.dev[split.folds != fold], np.setdiff1d(split.dev[split.folds == fold], listed)
        if not len(held):
            continue
        for part, found in ((problem, before), (right, after)):
            head = context.task.head
            base = head.refit_base(part, learnt, like=replaced.final)
            outputs = np.asarray(head.base_outputs(part, base, held, Silent()))
            found.append(outputs.argmax(1) == problem.labels[held])
        judged.append(held)
    if not judged:
        return {}
    rows = np.concatenate(judged)
    gain = paired_difference(
        np.concatenate(after), np.concatenate(before), None, problem.groups[rows], context.rng(23), level=0.95
    )
    return {"relabelled": {"others": {**gain.to_json(), "rows": len(rows)}}}
