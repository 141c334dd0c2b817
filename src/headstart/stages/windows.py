"""Decide by held-out scores whether long inputs are read on in windows, or only to where the network's reading ends."""

from __future__ import annotations

import numpy as np

from headstart.backbones.backbone import Windowed
from headstart.errors import HeadstartError
from headstart.features import Extractor, extract
from headstart.metrics.intervals import paired_difference
from headstart.problem import Problem, spread_evenly
from headstart.stages.context import Context
from headstart.stages.select import EXTRACTION_SHARE, Selected, open_backbone, scoring_rows
from headstart.stock.pairs import SEPARATOR

MAX_WINDOWS = 8
SEEN = 2000  # inputs whose length is counted
WORTH = 0.02  # share of inputs that are longer than the network reads, from which reading on is tried
LEVEL = 0.90  # of the interval that must lie on the better side: reading on takes longer, here and whenever it is used


def settle_windows(context: Context, selected: Selected) -> None:
    """Swap the backbone for one that reads on where held-out scores are better for it.

    What was chosen is kept in the plan, what was measured in the log and in selected.windows_check.
    """
    backbone, planned = selected.problem.backbone, context.plan.windows
    inputs = context.dataset.examples
    if planned == 1 or not isinstance(backbone, Windowed) or any(SEPARATOR in e.input for e in inputs):
        _keep(context, selected, "")
        return
    counts = backbone.token_counts([inputs[r] for r in spread_evenly(context.split.dev, SEEN)])
    longer = float(np.mean(np.array(counts) > backbone.max_tokens))
    if planned is None and (longer < WORTH or not backbone.can_read_on):
        why = "" if longer < WORTH else "this model's windows cannot be joined"
        _keep(context, selected, why)
        return
    try:
        count = planned or min(MAX_WINDOWS, -(-max(counts) // backbone.max_tokens))
        extractor, problem = open_backbone(context, backbone.reading_on(count))
        why = "" if planned else _fault(context, selected, extractor, problem, count)
    except HeadstartError as error:
        why = str(error)
    if why:
        _keep(context, selected, why)
        return
    context.plan = context.plan.with_(windows=count)
    selected.extractor, selected.problem = extractor, problem


def _fault(context: Context, selected: Selected, extractor: Extractor, problem: Problem, count: int) -> str:
    """Why reading on does not pay; "" where it does, and then selected.windows_check says how much."""
    predicted, budget = len(context.split.dev) / extractor.rate, context.settings.budget_seconds
    if predicted > EXTRACTION_SHARE * budget:
        return f"reading all of them would take about {predicted:.0f} s, too long for this budget"
    rows = scoring_rows(context, [selected.extractor.rate, extractor.rate])
    examples = [context.dataset.examples[r] for r in rows]
    scores = []
    for each, its_problem in ((selected.extractor, selected.problem), (extractor, problem)):
        extract(each, examples, its_problem.backbone.views[:1], context.reporter, "Features of long texts")
        scores.append(context.task.head.candidate_score(its_problem, rows, context.reporter))
    cut, whole = scores
    groups = problem.groups[rows]
    found = paired_difference(whole.numerators, cut.numerators, cut.denominators, groups, context.rng(9), LEVEL)
    metric = context.task.head.decision_metric.replace("_", "-")
    told = (
        f"{metric} {whole.value:.3f} with up to {count} windows against {cut.value:.3f} with the beginning alone, on "
        f"{len(rows)} development rows (90% interval of the difference {found.low:+.3f} to {found.high:+.3f})"
    )
    context.run.log("windows", count=count, whole=whole.value, beginning=cut.value, difference=found.to_json())
    if found.high >= 0:
        return f"reading on is not measurably better: {told}"
    selected.windows_check = told
    return ""


def _keep(context: Context, selected: Selected, why: str) -> None:
    context.plan = context.plan.with_(windows=1)
    if why:
        context.run.log("windows", count=1, why=why)
        selected.windows_check = why
