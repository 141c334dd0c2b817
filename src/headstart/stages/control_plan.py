"""How large the control may be: its labels and test rows, from measured rates and its share of the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headstart.stages.context import CONTROL_LABELS, CONTROL_SHARE, Context
from headstart.stages.select import Selected

MIN_LABELS = 50
MIN_ROWS = 20
OPENING_TORCH_S = 1.0
ROWS_SHARE = 0.5  # of the control's seconds at most for its test rows, where it also needs labels


@dataclass(frozen=True)
class ControlSize:
    """labels: that the control learns from (0 where it learns nothing). rows: test rows. seconds: predicted. engine:
    that a network of the control's own runs in.
    """

    labels: int
    rows: int
    seconds: float
    engine: str


def control_size(context: Context, selected: Selected, output_s: float, n_test: int) -> ControlSize | None:
    """What fits the controls' share of the budget, or what the plan says; None where that is too little to tell.

    output_s: seconds from a row's cached state to its answer. n_test: test rows there are.
    """
    task, plan = context.task, context.plan
    per_label, per_test = task.control_passes
    seconds = min(CONTROL_SHARE * context.clock.budget_seconds, context.clock.left() - 10)
    engine, rate, opening_s = _engine(context, selected, seconds, per_label > 0)
    seconds -= opening_s
    row_s = per_test / rate + output_s
    if not per_label:  # without it there is nothing to compare with: a little more than its share, if need be
        seconds = min(context.clock.left() - 10, max(seconds, MIN_ROWS * row_s))
    most = min(n_test, task.control_test_rows)
    rows = _rounded((ROWS_SHARE if per_label else 1.0) * seconds / row_s, most, MIN_ROWS)
    labels = 0
    if per_label:
        affordable = (seconds - rows * row_s) * rate / per_label
        labels = _rounded(affordable, min(CONTROL_LABELS, len(context.split.dev)), MIN_LABELS)
    if plan.control_rows is not None and plan.control_labels is not None:
        rows, labels = plan.control_rows, plan.control_labels
    if rows < min(MIN_ROWS, n_test) or (per_label and labels < min(MIN_LABELS, len(context.split.dev))):
        return None
    return ControlSize(labels, rows, opening_s + rows * row_s + labels * per_label / rate, engine)


def _rounded(affordable: float, most: int, fewest: int) -> int:
    """At most so many, in steps of a factor of the root of two: a later run, whose rates differ a little, finds the
    same rows and their features. Less than the fewest counts as none.
    """
    if affordable >= most:
        return most
    if affordable < fewest - 1e-6:  # what was planned for the fewest may come out a rounding error below
        return 0
    affordable = max(affordable, fewest)
    return int(fewest * 2 ** (math.floor(2 * math.log2(affordable / fewest)) / 2))


def _engine(context: Context, selected: Selected, seconds: float, has_own: bool) -> tuple[str, float, float]:
    """The engine of a control, its examples a second, and the seconds until it runs.

    Converting a second network pays only where the control is large: else it runs on torch.
    """
    extractor = selected.exact_extractor
    name, planned = extractor.engine.name, context.plan.control_engine
    if not has_own:
        return name, extractor.rate, 0.0
    if planned == "torch" or (planned is None and 2 * extractor.opened_s > seconds):
        return "torch", extractor.stock_rate, OPENING_TORCH_S
    return name, extractor.rate, extractor.opened_s
