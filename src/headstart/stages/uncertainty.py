"""Uncertainty: calibrate on development rows when the saved model should leave an input undecided, and save that."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.problem import Rows
from headstart.stages.context import Context
from headstart.stages.evaluate import Evaluated
from headstart.stages.finetune import Tuned
from headstart.stages.select import Selected
from headstart.tasks.task import Shipped
from headstart.uncertainty import save_uncertainty

SHARE = 0.05  # of the budget, for features of a tuned network
REPORT_S = 5.0


def calibrate_uncertainty(context: Context, selected: Selected, tuned: Tuned, evaluated: Evaluated) -> dict[str, Any]:
    """Save scores and detector beside the checkpoint; returns the parts of result.json that describe them."""
    if context.task.uncertainty is None:
        return {}
    try:
        found = context.task.uncertainty(selected.problem, _shipped(context, tuned, evaluated), context.rng(9))
    except KeyboardInterrupt:
        context.warnings.append("Interrupted before conformal sets were calibrated; --abstain will not work.")
        return {}
    except HeadstartError as error:
        context.warnings.append(f"Conformal sets could not be calibrated: {error}")
        return {}
    save_uncertainty(context.run.model, found.scores, found.detector)
    context.run.log("uncertainty", **found.details)
    if found.detector is None:
        context.warnings.append(f"No out-of-distribution score: {found.details['ood']['why_not']}.")
    return found.details


def _shipped(context: Context, tuned: Tuned, evaluated: Evaluated) -> Shipped:
    rung, split, head = tuned.chosen, context.split, context.task.head
    tested: Rows = split.test if evaluated.split == "test" else split.test[:0]
    rows = np.asarray(rung.rows)
    fold_of = dict(zip(split.dev.tolist(), split.folds.tolist()))
    return Shipped(
        tuned.base,
        tuned.module,
        head.tempered(rung.outputs, evaluated.temperature),
        rows,
        np.array([fold_of[row] for row in rows.tolist()]),
        split.dev,
        split.folds,
        tested,
        evaluated.predictions if len(tested) else [],
        evaluated.features,
        min(SHARE * context.clock.budget_seconds, context.clock.left() - REPORT_S),
    )
