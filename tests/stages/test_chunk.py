"""How much of each recording a network of one fixed length hears: as long as these last, where that costs nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.errors import ModelError
from headstart.plan import Plan
from headstart.settings import Settings
from headstart.stages import chunk
from headstart.stages.chunk import settle_chunk
from headstart.stages.reading import Compared
from headstart.types import Interval

WHOLE = 30


class Network:
    def __init__(self, chunk_length: int | None = WHOLE) -> None:
        self.chunk_length = chunk_length

    def hearing(self, seconds: int) -> Network:
        return Network(seconds)


class Case:
    """lasting: seconds of the recordings. low: of the interval of the difference. rate: recordings a second, whole."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        lasting: Any,
        low: float = -0.1,
        rate: float = 10.0,
        budget: float = 300.0,
        plan: Plan | None = None,
        network: Any = None,
        cached: int = 0,
    ) -> None:
        inputs = [SimpleNamespace(input=str(seconds)) for seconds in lasting]
        self.logged: list[dict[str, Any]] = []
        self.context: Any = SimpleNamespace(
            dataset=SimpleNamespace(examples=inputs),
            split=SimpleNamespace(dev=np.arange(len(inputs))),
            settings=Settings("data", budget_seconds=budget),
            plan=plan or Plan(),
            run=SimpleNamespace(log=lambda *a, **k: self.logged.append(k)),
        )
        problem = SimpleNamespace(backbone=network or Network())
        self.selected: Any = SimpleNamespace(extractor=SimpleNamespace(rate=rate), problem=problem, reading_check="")
        self.compared: list[int] = []

        def compare(c: Any, s: Any, extractor: Any, problem: Any, rows: Any, what: str) -> Compared:
            self.compared.append(len(rows))
            return Compared("log-loss", 0.4, 0.4 + low + 0.05, Interval(low + 0.05, low, low + 0.1, len(rows)))

        monkeypatch.setattr(chunk, "compare", compare)
        monkeypatch.setattr(chunk, "open_backbone", self.open)
        monkeypatch.setattr(chunk, "missing_rows", lambda context, extractor: len(inputs) - cached)
        monkeypatch.setattr(chunk.audio, "seconds", float)

    def open(self, context: Any, backbone: Any) -> Any:
        return SimpleNamespace(rate=100.0), SimpleNamespace(backbone=backbone)

    def settle(self) -> int:
        settle_chunk(self.context, self.selected)
        heard = self.selected.problem.backbone.chunk_length
        assert self.context.plan.chunk_length == heard
        return int(heard)


def test_as_long_as_nearly_all_last_and_a_second_more(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, [2.5] * 300 + [29.0])
    assert case.settle() == 4
    assert case.selected.extractor.rate == 100.0
    assert "log-loss 0.350 with 4 s against 0.400 with 30 s" in case.selected.reading_check
    assert case.compared == [272]  # a tenth of 300 s, at 0.11 s a row


@pytest.mark.parametrize("low", [0.01, -0.04])
def test_what_measures_worse_is_undone_and_said(monkeypatch: pytest.MonkeyPatch, low: float) -> None:
    case = Case(monkeypatch, [2.5] * 300, low=low)
    assert case.settle() == WHOLE
    assert case.selected.extractor.rate == 10.0
    assert case.selected.reading_check.startswith("hearing less is worse: log-loss 0.4")


@pytest.mark.parametrize(("low", "heard"), [(0.01, WHOLE), (-0.04, 4)])
def test_where_the_whole_does_not_fit_only_what_is_measurably_worse_is(
    monkeypatch: pytest.MonkeyPatch, low: float, heard: int
) -> None:
    assert Case(monkeypatch, [2.5] * 3000, low=low).settle() == heard  # 300 s at 10 a second
    assert Case(monkeypatch, [2.5] * 3000, low=low, cached=2900).settle() == WHOLE  # 10 s


def test_recordings_that_fill_what_is_heard_are_heard_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, [2.5] * 50 + [22.0] * 50)
    assert case.settle() == WHOLE
    assert case.compared == []


def test_without_time_for_a_check_the_budget_decides_and_the_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for recordings, heard in ((300, 4), (10, WHOLE)):  # where all of them fit they are heard in full
        case = Case(monkeypatch, [2.5] * recordings, low=0.01, rate=1.0, budget=60)
        assert case.settle() == heard
        assert case.compared == []
        assert case.selected.reading_check == "4 s and 30 s were not compared: there was no time for it"


@pytest.mark.parametrize("planned", [4, WHOLE])
def test_a_plan_is_followed_without_a_check(monkeypatch: pytest.MonkeyPatch, planned: int) -> None:
    case = Case(monkeypatch, [2.5] * 300, low=0.01, plan=Plan(chunk_length=planned))
    assert case.settle() == planned
    assert case.compared == []


def test_a_network_that_cannot_be_opened_that_way_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, [2.5] * 300)

    def refuse(context: Any, backbone: Any) -> Any:
        raise ModelError("It cannot be exported.")

    monkeypatch.setattr(chunk, "open_backbone", refuse)
    assert case.settle() == WHOLE
    assert case.selected.reading_check == "It cannot be exported."


def test_networks_that_hear_each_length_as_it_is_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, [2.5] * 300, network=Network(None))
    settle_chunk(case.context, case.selected)
    assert case.context.plan.chunk_length is None
