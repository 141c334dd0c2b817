"""Beams are tried where their time can be afforded, and only there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.heads.head import Decoding
from headstart.plan import Plan
from headstart.stages import evaluate
from headstart.stages.evaluate import _choose_decoding


@pytest.mark.parametrize(("answer_s", "planned"), [(0.3, None), (0.4, (1, 1.0))])
@pytest.mark.parametrize(("cut", "encoding_s"), [("a cut", 0.0), (None, 0.01)])
def test_beams_are_not_tried_where_one_is_all_that_fits(
    answer_s: float, planned: tuple[int, float] | None, cut: str | None, encoding_s: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """100 s are left, 20 of them for saving, 5 for trials: for each of 50 test rows there are 1.5 s, 0.01 of them for
    encoding, which a trial of a whole network does once more.
    """
    asked: list[Any] = []

    def choose(*given: Any) -> Decoding:
        asked.append(given[6])
        assert given[5].row_s == pytest.approx((80 - 0.5 - 5) / 50 + encoding_s)
        return Decoding(1, 1.0, 2.0 if given[6] is None else None)

    context: Any = SimpleNamespace(
        task=SimpleNamespace(choose_decoding=choose, control_is_untuned=True), plan=Plan(), passes_per_test=1.0,
        split=SimpleNamespace(test=np.arange(50)), clock=SimpleNamespace(left=lambda: 100.0, budget_seconds=100.0),
        run=SimpleNamespace(log=lambda *a, **k: None), reporter=None,
    )  # fmt: skip
    selected: Any = SimpleNamespace(extractor=SimpleNamespace(stock_rate=100.0), problem=None)
    chosen = SimpleNamespace(outputs=None, rows=[], weights=None)
    tuned: Any = SimpleNamespace(chosen=chosen, module=SimpleNamespace(cut=cut))
    replaced: Any = SimpleNamespace(seconds_per_output=answer_s)
    expected = answer_s if planned else 2.0 - encoding_s
    monkeypatch.setattr(evaluate, "control_size", lambda *a: None)
    assert _choose_decoding(context, selected, replaced, tuned) == pytest.approx(expected)
    assert asked == [planned] and context.plan.decoding == 1
