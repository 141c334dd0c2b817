"""Choose how answers are decoded, on held-out rows and by a network that has not learnt from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.heads.head import DecodingLimits, Tunable
from headstart.stages.context import CONTROL_SHARE, Context
from headstart.stages.control_plan import MIN_ROWS, control_size
from headstart.stages.finetune import Tuned
from headstart.stages.fold import network_of
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected

SAVING_S = 20.0  # saving, checking the saved model, report
TRIAL_SHARE = 0.05  # of the budget, for trying another decoding on held-out rows
BEAM_TAKES = 0.8  # times greedy decoding for each beam, at least: more than fit are not tried (measured: 0.8 to 1.6)


def choose_decoding(context: Context, selected: Selected, replaced: Replaced, tuned: Tuned) -> float:
    """Let the task settle on held-out rows how answers are decoded, where there is a choice and time for it.

    Returns the seconds that an answer then takes.
    """
    choose = context.task.choose_decoding
    if choose is None:
        context.plan = context.plan.with_(decoding=0)
        return replaced.seconds_per_output
    limits = _limits(context, selected, replaced, tuned)
    plan, rung = context.plan, tuned.chosen
    planned = (plan.decoding, plan.length_penalty) if plan.decoding else None
    if limits.beams < 2:
        planned = planned or (1, 1.0)
    searches = getattr(selected.problem.backbone, "searches", False)
    is_open = searches and planned is None
    everything = tuned.module, np.ones(len(rung.rows), dtype=bool)
    module, answered = _judge(context, selected, tuned) if is_open else everything
    weights = (np.ones(len(rung.rows)) if rung.weights is None else rung.weights)[answered]
    outputs, rows = rung.outputs[answered], rung.rows[answered]
    decoding = choose(selected.problem, module, outputs, rows, weights, limits, planned, context.reporter)
    context.plan = plan.with_(decoding=decoding.beams, length_penalty=decoding.length_penalty)
    if decoding.facts:
        context.run.log("decoding", beams=decoding.beams, length_penalty=decoding.length_penalty, **decoding.facts)
    if decoding.row_s is None:
        return replaced.seconds_per_output
    return decoding.row_s - _encoding_s(context, selected, tuned)


def _limits(context: Context, selected: Selected, replaced: Replaced, tuned: Tuned) -> DecodingLimits:
    """What fits beside the encoding of the test rows and the control, which decodes in the same way."""
    n_test, budget = max(1, len(context.split.test)), context.clock.budget_seconds
    greedy_s = replaced.seconds_per_output
    is_control = context.task.control_is_untuned and tuned.module is None
    control = None if is_control else control_size(context, selected, greedy_s, n_test)
    spare = context.clock.left() - SAVING_S - n_test * context.passes_per_test / selected.extractor.stock_rate
    trial_s = min(TRIAL_SHARE * budget, spare / 2)
    row_s = (spare - trial_s) / n_test
    if control:  # it may grow to its share with more beams, and beyond it for the fewest rows
        control_s = max(control.seconds, CONTROL_SHARE * budget)
        row_s = min(row_s - control_s / n_test, (spare - trial_s) / (n_test + min(MIN_ROWS, n_test)))
    beams = int(row_s / (BEAM_TAKES * greedy_s))
    return DecodingLimits(trial_s, row_s + _encoding_s(context, selected, tuned), n_test, beams)


def _encoding_s(context: Context, selected: Selected, tuned: Tuned) -> float:
    """Seconds that a row's encoding takes in a trial: of a whole network, once more; else states are cached."""
    is_whole = tuned.module is not None and tuned.module.cut is None
    return context.passes_per_test / selected.extractor.stock_rate if is_whole else 0.0


def _judge(context: Context, selected: Selected, tuned: Tuned) -> tuple[Tunable | None, NDArray[np.bool_]]:
    """The network that gave the rung's greedy outputs, and to which of its rows: the first fold's, where it was tuned.

    The network that ships has mostly learnt from these rows, and would seem to gain by whatever it is decoded with.
    """
    rung, kept = tuned.chosen, tuned.kept
    if kept is None:
        return None, np.ones(len(rung.rows), dtype=bool)
    fold, module = kept.folds[0], tuned.module
    if kept.rung.facts.get("final_epochs"):  # else the first fold's is what ships
        module = network_of(context, selected, kept.depth, fold, kept.share)
    return module, np.isin(rung.rows, fold.held)
