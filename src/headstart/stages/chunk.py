"""Let a network that hears 30 seconds of each recording hear as much as these last, where that costs nothing.

Or next to nothing where the budget does not hold the whole: then all recordings heard in part beat a part of them heard
in full.
"""

from __future__ import annotations

import math

import numpy as np

from headstart.backbones.backbone import Chunked
from headstart.data import audio
from headstart.errors import HeadstartError
from headstart.features import Extractor
from headstart.problem import Problem, spread_evenly
from headstart.stages.context import Context
from headstart.stages.reading import compare
from headstart.stages.select import EXTRACTION_SHARE, Selected, missing_rows, open_backbone

MARGIN_S = 1.0  # of silence behind all but the longest recordings
QUANTILE = 0.99  # of the recordings, that end before that
WORTH = 0.7  # of what the network hears: what lasts longer is heard as it is
CHECK_SHARE = 0.1  # of the budget
FEWEST = 32  # rows that tell anything


def settle_chunk(context: Context, selected: Selected) -> None:
    """Swap the backbone for one that hears less where held-out scores are no worse for it.

    Where reading all of the recordings does not fit the budget it is swapped unless they are measurably worse.

    What was chosen is kept in the plan, what was measured in the log and in selected.reading_check.
    """
    backbone, planned = selected.problem.backbone, context.plan.chunk_length
    if not isinstance(backbone, Chunked) or backbone.chunk_length is None:
        return
    whole, inputs = backbone.chunk_length, context.dataset.examples
    lasting = float(np.quantile([audio.seconds(inputs[r].input) for r in context.split.dev], QUANTILE))
    seconds = planned or math.ceil(lasting + MARGIN_S)
    if seconds >= whole or (planned is None and seconds > WORTH * whole):
        context.plan = context.plan.with_(chunk_length=whole)
        return
    try:
        extractor, problem = open_backbone(context, backbone.hearing(seconds))
        why = "" if planned else _fault(context, selected, extractor, problem, seconds, whole)
    except HeadstartError as error:
        why = str(error)
    if why:
        context.run.log("chunk", seconds=whole, why=why)
        context.plan = context.plan.with_(chunk_length=whole)
        selected.reading_check = why
        return
    context.plan = context.plan.with_(chunk_length=seconds)
    selected.extractor, selected.problem = extractor, problem


def _fault(
    context: Context, selected: Selected, extractor: Extractor, problem: Problem, seconds: int, whole: int
) -> str:
    """Why the network should hear all; "" where it need not, and then selected.reading_check says how it measured."""
    budget = context.settings.budget_seconds
    is_tight = missing_rows(context, selected.extractor) / selected.extractor.rate > EXTRACTION_SHARE * budget
    both_s = 1 / selected.extractor.rate + 1 / extractor.rate
    rows = spread_evenly(context.split.dev, int(CHECK_SHARE * budget / both_s))
    if len(rows) < min(FEWEST, len(context.split.dev)):
        told = f"{seconds} s and {whole} s were not compared: there was no time for it"
        if not is_tight:
            return told
        context.run.log("chunk", seconds=seconds, why=told)
        selected.reading_check = told
        return ""
    found = compare(context, selected, extractor, problem, rows, "Features of whole and shortened recordings")
    told = found.told(f"with {seconds} s", f"with {whole} s")
    context.run.log("chunk", seconds=seconds, **found.to_json())
    if found.difference.low > 0 or (found.difference.value > 0 and not is_tight):
        return f"hearing less is worse: {told}"
    selected.reading_check = told
    return ""
