"""Beams are tried where their time can be afforded, and only there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.heads.head import Decoding
from headstart.plan import Plan
from headstart.stages.evaluate import _choose_decoding


@pytest.mark.parametrize(("answer_s", "planned"), [(0.5, None), (2.0, (1, 1.0))])
def test_beams_are_not_tried_where_one_is_all_that_fits(answer_s: float, planned: tuple[int, float] | None) -> None:
    """100 s are left, 20 of them for saving, 10 for trials: for each of 50 test rows there is a second or so."""
    asked: list[Any] = []

    def choose(*given: Any) -> Decoding:
        asked.append(given[5])
        return Decoding(1, 1.0)

    context: Any = SimpleNamespace(
        task=SimpleNamespace(choose_decoding=choose, control_is_untuned=True), plan=Plan(), passes_per_test=1.0,
        split=SimpleNamespace(test=np.arange(50)), clock=SimpleNamespace(left=lambda: 100.0, budget_seconds=100.0),
        run=SimpleNamespace(log=lambda *a, **k: None), reporter=None,
    )  # fmt: skip
    selected: Any = SimpleNamespace(extractor=SimpleNamespace(stock_rate=100.0), problem=None)
    tuned: Any = SimpleNamespace(chosen=SimpleNamespace(outputs=None, rows=None), module=None)
    replaced: Any = SimpleNamespace(seconds_per_output=answer_s)
    assert _choose_decoding(context, selected, replaced, tuned) == answer_s
    assert asked == [planned] and context.plan.decoding == 1
