"""Train the network that ships: the kept rung, on all development rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headstart.heads.head import Tunable
from headstart.stages.context import Context
from headstart.stages.fold import network_of, train_with_progress
from headstart.stages.rung import Attempt
from headstart.stages.select import Selected
from headstart.stages.tuning_plan import affordable_final, final_epochs
from headstart.training.weights import blend, restore, snapshot

FINAL_RATE = 0.6  # of the recipe's rate, when the shipped network goes on from the first fold's


@dataclass
class Shipped:
    """The tuned network, and the untuned head of the kind that it has."""

    module: Tunable
    base: Any


def train_final(context: Context, selected: Selected, kept: Attempt) -> Shipped:
    """The network to ship: the first fold's, trained on with all development rows.

    That costs half of a training from the start, and ended better where both were measured (docs/log.md). With
    --shift-column the training does begin at the start: a fold has met only some of the column's values. Where the
    planned epochs no longer fit, as many as do are run, with a schedule of that length. Where none fits or Ctrl-C ends
    it, the first fold's network ships: it has been scored on rows that it did not learn from.
    """
    head, problem, rows, first = context.task.head, selected.problem, context.split.dev, kept.folds[0]
    base = head.refit_base(problem, rows, first.base)
    module = head.build(problem, base, kept.depth)
    start = snapshot(module)
    # a fold along a column has met only some of its values: what ships begins anew, with the whole schedule
    anew = context.settings.shift_column is not None
    if not anew:
        restore(module, first.end)
    wanted = kept.epochs if anew else final_epochs(kept.epochs)
    epochs = affordable_final(context, wanted, kept.pass_s, kept.refit_s)
    what = f"Tuning the {kept.depth.part} on all development rows"
    seed = context.settings.seed + 100
    stopped = "" if epochs else "no time is left for one epoch of it"
    try:
        if epochs:
            trained = train_with_progress(
                context, selected, module, kept.depth, rows, None, what, seed, epochs, 1.0 if anew else FINAL_RATE
            )
            stopped = trained.stopped
    except KeyboardInterrupt:
        stopped = "Interrupted"
    kept.rung.facts["final_epochs"] = 0 if stopped else epochs
    if stopped:
        context.warnings.append(
            f"No last training on all rows: {stopped}. The network of the first fold ships, which learnt from "
            f"{(context.split.folds != 0).sum()} of {len(rows)} rows. More time: --budget."
        )
        module = network_of(context, selected, kept.depth, first, kept.share)
        return Shipped(module, first.refitted.get(kept.share, base))
    if epochs < wanted:
        context.warnings.append(f"The last training, on all rows, had time for {epochs} of {wanted} epochs.")
    restore(module, blend(start, snapshot(module), kept.share))
    if kept.share in first.refitted:
        base = head.refit_tuned(problem, base, module, rows)
    return Shipped(module, base)
