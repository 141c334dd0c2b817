"""Beams are tried where their time can be afforded, and by a network that has not learnt from the rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.heads.head import Decoding
from headstart.plan import Plan
from headstart.stages import decoding
from headstart.stages.control_plan import MIN_ROWS
from headstart.stages.decoding import choose_decoding

ENCODING_S = 0.01


def _choose(
    monkeypatch: pytest.MonkeyPatch, answer_s: float, cut: str | None, kept: Any = None, control_s: float | None = None,
    searches: bool = True,
) -> tuple[float, list[Any], Plan]:  # fmt: skip
    """100 s are left, 20 of them for saving and 5 for a trial, for 50 test rows. Returns the seconds of an answer, what
    the task was asked with, and the plan.
    """
    asked: list[Any] = []

    def choose(*given: Any) -> Decoding:
        asked.extend(given)
        return Decoding(*(given[6] or (1, 1.0)), None if given[6] else 2.0)

    context: Any = SimpleNamespace(
        task=SimpleNamespace(choose_decoding=choose, control_is_untuned=True), plan=Plan(), passes_per_test=1.0,
        split=SimpleNamespace(test=np.arange(50)), clock=SimpleNamespace(left=lambda: 100.0, budget_seconds=100.0),
        run=SimpleNamespace(log=lambda *a, **k: None), reporter=None,
    )  # fmt: skip
    problem = SimpleNamespace(backbone=SimpleNamespace(searches=searches))
    selected: Any = SimpleNamespace(extractor=SimpleNamespace(stock_rate=1 / ENCODING_S), problem=problem)
    rows = np.arange(4)
    rung = SimpleNamespace(outputs=np.array(list("abcd"), dtype=object), rows=rows, weights=rows + 1.0)
    tuned: Any = SimpleNamespace(chosen=rung, module=SimpleNamespace(cut=cut), kept=kept)
    control = None if control_s is None else SimpleNamespace(seconds=control_s)
    monkeypatch.setattr(decoding, "control_size", lambda *a: control)
    monkeypatch.setattr(decoding, "network_of", lambda c, s, *which: which)
    seconds = choose_decoding(context, selected, SimpleNamespace(seconds_per_output=answer_s), tuned)  # type: ignore[arg-type]
    return seconds, asked, context.plan


@pytest.mark.parametrize(("cut", "encoding_s"), [("a cut", 0.0), (None, ENCODING_S)])
def test_a_whole_network_encodes_once_more_in_a_trial(
    monkeypatch: pytest.MonkeyPatch, cut: str | None, encoding_s: float
) -> None:
    seconds, asked, plan = _choose(monkeypatch, 0.3, cut)
    assert asked[5].row_s == pytest.approx((80 - 50 * ENCODING_S - 5) / 50 + encoding_s)
    assert asked[6] is None and plan.decoding == 1
    assert seconds == pytest.approx(2.0 - encoding_s)  # of a test row, whose encoding counts elsewhere


@pytest.mark.parametrize(("answer_s", "beams"), [(0.3, 6), (0.5, 3), (0.9, 2)])
def test_no_more_beams_are_tried_than_fit(monkeypatch: pytest.MonkeyPatch, answer_s: float, beams: int) -> None:
    """1.5 s for each test row; a beam takes 0.8 of greedy decoding at least."""
    _, asked, _ = _choose(monkeypatch, answer_s, "a cut")
    assert asked[5].beams == beams and asked[6] is None


def test_none_are_tried_where_two_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, asked, plan = _choose(monkeypatch, 1.0, "a cut")
    assert asked[6] == (1, 1.0) and plan.decoding == 1
    assert seconds == 1.0


@pytest.mark.parametrize(("control_s", "row_s"), [(2.0, (75 - 0.5 - 6) / 50), (10.0, (75 - 0.5 - 10) / 50)])
def test_the_control_keeps_its_share(monkeypatch: pytest.MonkeyPatch, control_s: float, row_s: float) -> None:
    """It decodes in the same way, and may grow to its share of the budget, 6 s."""
    monkeypatch.setattr(decoding, "MIN_ROWS", 1)
    _, asked, _ = _choose(monkeypatch, 0.3, "a cut", control_s=control_s)
    assert asked[5].row_s == pytest.approx(row_s) and asked[5].rows == 50


def test_the_control_keeps_the_time_of_its_fewest_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked, _ = _choose(monkeypatch, 0.3, "a cut", control_s=2.0)
    assert asked[5].row_s == pytest.approx((75 - 0.5) / (50 + MIN_ROWS))


def _kept(final_epochs: int) -> Any:
    folds = [SimpleNamespace(held=np.array([1, 3])), SimpleNamespace(held=np.array([0, 2]))]
    rung = SimpleNamespace(facts={"final_epochs": final_epochs})
    return SimpleNamespace(depth="all", share=0.75, folds=folds, rung=rung)


def test_the_first_fold_s_network_is_asked_and_about_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _kept(final_epochs=2)
    _, asked, _ = _choose(monkeypatch, 0.3, "a cut", kept)
    assert asked[1] == ("all", kept.folds[0], 0.75)
    assert [list(given) for given in asked[2:5]] == [["b", "d"], [1, 3], [2.0, 4.0]]


def test_where_the_first_fold_s_network_ships_it_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked, _ = _choose(monkeypatch, 0.3, "a cut", _kept(final_epochs=0))
    assert asked[1] == SimpleNamespace(cut="a cut")
    assert list(asked[3]) == [1, 3]


def test_no_network_is_built_for_one_that_cannot_search(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked, _ = _choose(monkeypatch, 0.3, "a cut", _kept(final_epochs=2), searches=False)
    assert asked[1] == SimpleNamespace(cut="a cut")
    assert list(asked[3]) == [0, 1, 2, 3]


def test_an_untouched_network_is_asked_about_all(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked, _ = _choose(monkeypatch, 0.3, "a cut")
    assert asked[1] is None and list(asked[3]) == [0, 1, 2, 3]
