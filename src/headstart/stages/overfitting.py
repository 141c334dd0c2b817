"""What tuning did to a network: how it does on rows that it learnt from, and how much it still agrees with before."""

from __future__ import annotations

import numpy as np

from headstart.backbones.backbone import Depth
from headstart.problem import spread_evenly
from headstart.stages.context import Context
from headstart.stages.fold import Fold, network_of
from headstart.stages.select import Selected

ROWS = 256  # of the first fold, learnt ones and held-out ones each
LIVE_ROWS = 32  # the same where the whole network runs on the inputs


def overfitting_facts(
    context: Context, selected: Selected, depth: Depth, fold: Fold, share: float
) -> dict[str, float | None]:
    """loss_on_learnt, loss_on_held: development loss on about as many rows of both kinds, one temperature for each.

    agreement: linear CKA of the features before and after tuning on the held-out rows, 1 where nothing changed; None
    where the head reads no pooled features.
    """
    head, problem, split = context.task.head, selected.problem, context.split
    limit = ROWS if depth.cut else LIVE_ROWS
    held = spread_evenly(fold.held, limit)
    learnt = spread_evenly(np.setdiff1d(split.dev, fold.held), len(held))
    module = network_of(context, selected, depth, fold, share)
    return {
        "loss_on_learnt": head.dev_loss(problem, module, learnt),
        "loss_on_held": fold.losses[share],
        "agreement": head.agreement(problem, fold.base, module, held),
    }
