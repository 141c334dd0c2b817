"""Which held-out rows a tuned network answers where answers are costly: all in which the untouched model erred, and a
half of the others, each of which stands for two.

Two-phase sampling with strata (Neyman 1938): where the untouched model made no error little changes, and fewer rows
tell as much. Weighted by what they stand for, sums over the rows are unbiased, and ratios of these nearly so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.problem import Rows
from headstart.stages.context import Context, Rung
from headstart.stages.select import Selected

THINNED = 0.5  # of the rows without an error, which are answered
FEWEST = 16  # of these; fewer say too little about the others


def answered_rows(
    context: Context, selected: Selected, untouched: Rung, held: Rows
) -> tuple[Rows, NDArray[np.float64]]:
    """Of a fold's held-out rows (N,) those to answer (n,), in order, and how many rows each of them stands for (n,).

    untouched: the rung before any tuning. All rows stand for themselves where answers cost little, where every row must
    be scored, where fewer than about 2 FEWEST rows are without an error, or where the untouched model has not answered
    them.
    """
    before = None if context.task.decision_rows is None or context.needs_all_folds else untouched.outputs_for(held)
    if before is None:
        return held, np.ones(len(held))
    errors, _ = context.task.head.row_scores(selected.problem, before, held)
    right = held[np.asarray(errors) == 0]
    # each row has a number of its own, so that one answer which falls otherwise does not change the whole draw
    numbers = np.random.default_rng(0).permutation(len(context.dataset.examples))
    kept = right[np.argsort(numbers[right])[: round(THINNED * len(right))]]
    if len(kept) < FEWEST:
        return held, np.ones(len(held))
    rows = held[~np.isin(held, right) | np.isin(held, kept)]
    return rows, np.where(np.isin(rows, kept), len(right) / len(kept), 1.0)
