"""Decide by held-out scores whether long inputs are read on in windows, or only to where the network's reading ends."""

from __future__ import annotations

import numpy as np

from headstart.backbones.backbone import Windowed
from headstart.errors import HeadstartError
from headstart.features import Extractor
from headstart.problem import Problem, spread_evenly
from headstart.stages.context import Context
from headstart.stages.reading import compare
from headstart.stages.select import EXTRACTION_SHARE, Selected, missing_rows, open_backbone, scoring_rows
from headstart.stock.pairs import SEPARATOR

MAX_WINDOWS = 8
SEEN = 2000  # inputs whose length is counted
WORTH = 0.02  # share of inputs that are longer than the network reads, from which reading on is tried


def settle_windows(context: Context, selected: Selected) -> None:
    """Swap the backbone for one that reads on where held-out scores are better for it.

    What was chosen is kept in the plan, what was measured in the log and in selected.reading_check.
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
    """Why reading on does not pay; "" where it does, and then selected.reading_check says how much."""
    predicted, budget = missing_rows(context, extractor) / extractor.rate, context.settings.budget_seconds
    if predicted > EXTRACTION_SHARE * budget:
        return f"reading all of them would take about {predicted:.0f} s, too long for this budget"
    rows = scoring_rows(context, [selected.extractor.rate, extractor.rate])
    found = compare(context, selected, extractor, problem, rows, "Features of long texts")
    told = found.told(f"with up to {count} windows", "with the beginning alone")
    context.run.log("windows", count=count, **found.to_json())
    if found.difference.high >= 0:
        return f"reading on is not measurably better: {told}"
    selected.reading_check = told
    return ""


def _keep(context: Context, selected: Selected, why: str) -> None:
    context.plan = context.plan.with_(windows=1)
    if why:
        context.run.log("windows", count=1, why=why)
        selected.reading_check = why
