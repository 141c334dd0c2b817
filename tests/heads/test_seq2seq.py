"""The head of text targets: beams only where held-out rows say so and their time can be afforded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from headstart.heads.head import DecodingLimits
from headstart.heads.seq2seq import BEAM_ROWS, Seq2SeqHead
from headstart.problem import Problem
from headstart.types import Dataset, Example, Silent

ROWS = np.arange(40)
ONES = np.ones(40)
BEAMS = Seq2SeqHead().beams
AMPLE = DecodingLimits(trial_s=60.0, row_s=60.0, rows=40, beams=9)


class _Features:
    cuts = ("decoder",)


class _Backbone:
    """Answers `greedy`, `beamed` with beams, and `longer` where length counts more; inputs are row numbers."""

    reads_targets, searches, base_cut = False, True, "decoder"

    def __init__(self, greedy: str, beamed: str, longer: str = "wrong") -> None:
        self.search = (1, 1.0)
        self.answers = {(1, 1.0): greedy, (BEAMS, 1.0): beamed, (BEAMS, 2.0): longer}
        self.asked: list[tuple[int, float]] = []

    def generate(self, inputs: Sequence[torch.Tensor], network: nn.Module | None = None) -> list[str]:
        self.asked += [self.search] * len(inputs[0])
        return [self.answers.get(self.search, "wrong")] * len(inputs[0])


def _problem(backbone: _Backbone) -> Problem:
    examples = tuple(Example(str(r), str(r), "right", str(r), str(r)) for r in ROWS)
    dataset = Dataset("speech-recognition", "audio", Path(), examples, (), (), {}, "")

    class _Rows(Problem):
        def inputs(self, rows: Any, cut: Any, views: Any = None) -> tuple[torch.Tensor, ...]:
            return (torch.as_tensor(rows),)

    zeros = np.zeros(len(ROWS), dtype=np.int64)
    return _Rows(dataset, cast(Any, backbone), cast(Any, _Features()), zeros, ROWS, 0)


def _choose(
    greedy: str, beamed: str, limits: DecodingLimits, planned: tuple[int, float] | None = None
) -> tuple[int, _Backbone]:
    backbone = _Backbone(greedy, beamed)
    outputs = np.array([greedy] * len(ROWS), dtype=object)
    chosen = Seq2SeqHead().choose_decoding(_problem(backbone), None, outputs, ROWS, ONES, limits, planned, Silent())
    assert backbone.search == (chosen.beams, chosen.length_penalty)
    return chosen.beams, backbone


def test_beams_that_make_fewer_errors_are_taken() -> None:
    choice, backbone = _choose("wrong", "right", AMPLE)
    assert choice == BEAMS
    assert backbone.asked == [(BEAMS, 1.0)] * min(len(ROWS), BEAM_ROWS)


@pytest.mark.parametrize(("longer", "penalty"), [("right", 2.0), ("rather wrong", 1.0)])
def test_the_length_s_weight_that_makes_the_fewest_errors_is_taken(longer: str, penalty: float) -> None:
    backbone = _Backbone("quite very wrong", "wrong", longer)
    outputs = np.array(["quite very wrong"] * len(ROWS), dtype=object)
    head = Seq2SeqHead(penalties=(2.0,))
    chosen = head.choose_decoding(_problem(backbone), None, outputs, ROWS, ONES, AMPLE, None, Silent())
    assert (chosen.beams, chosen.length_penalty) == (BEAMS, penalty) == backbone.search
    assert set(chosen.facts["errors_beams"]) == {"1", "2"}


@pytest.mark.parametrize(("weight", "beams"), [(1.0, BEAMS), (2.0, 1)])
def test_errors_count_as_often_as_there_are_rows_like_them(weight: float, beams: int) -> None:
    """Beams mend 24 rows of 40 and spoil the others, each of which stands for so many."""

    class _Uneven(_Backbone):
        def generate(self, inputs: Sequence[torch.Tensor], network: nn.Module | None = None) -> list[str]:
            return ["right" if row < 24 else "wrong" for row in inputs[0]]

    backbone = _Uneven("", "")
    outputs = np.array(["wrong"] * 24 + ["right"] * 16, dtype=object)
    weights = np.where(np.arange(40) < 24, 1.0, weight)
    chosen = Seq2SeqHead().choose_decoding(_problem(backbone), None, outputs, ROWS, weights, AMPLE, None, Silent())
    assert chosen.beams == beams


@pytest.mark.parametrize("beamed", ["wrong", "quite wrong"])
def test_beams_that_gain_nothing_are_not(beamed: str) -> None:
    assert _choose("wrong", beamed, AMPLE)[0] == 1


def test_beams_that_would_take_too_long_are_not_taken() -> None:
    assert _choose("wrong", "right", DecodingLimits(trial_s=60.0, row_s=0.0, rows=40, beams=9))[0] == 1


def test_no_more_beams_are_tried_than_allowed() -> None:
    backbone = _choose("wrong", "right", DecodingLimits(trial_s=60.0, row_s=60.0, rows=40, beams=3))[1]
    assert {beams for beams, _ in backbone.asked} == {3}


def test_fewer_beams_are_tried_where_one_batch_took_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row takes as many seconds as there are beams; three are allowed for it."""
    backbone = _Backbone("wrong", "wrong")
    backbone.answers[(3, 1.0)] = "right"
    monkeypatch.setattr(time, "perf_counter", lambda: float(sum(beams for beams, _ in backbone.asked)))
    outputs = np.array(["wrong"] * len(ROWS), dtype=object)
    limits = DecodingLimits(trial_s=1000.0, row_s=3.0, rows=40, beams=9)
    chosen = Seq2SeqHead().choose_decoding(_problem(backbone), None, outputs, ROWS, ONES, limits, None, Silent())
    assert backbone.asked == [(5, 1.0)] * 16 + [(3, 1.0)] * 40
    assert (chosen.beams, chosen.row_s) == (3, 3.0)


@pytest.mark.parametrize(("trial_s", "asked"), [(200.0, [5] * 16 + [3] * 40), (120.0, [5] * 16)])
def test_fewer_beams_get_what_is_left_of_the_trial_and_without_it_nothing_more_is_tried(
    trial_s: float, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two weights of the length the first has half of the seconds; five beams take 80 of them for a batch."""
    backbone = _Backbone("wrong", "wrong")
    backbone.answers[(3, 1.0)] = "right"
    monkeypatch.setattr(time, "perf_counter", lambda: float(sum(beams for beams, _ in backbone.asked)))
    outputs = np.array(["wrong"] * len(ROWS), dtype=object)
    limits = DecodingLimits(trial_s=trial_s, row_s=3.0, rows=40, beams=9)
    head = Seq2SeqHead(penalties=(2.0,))
    chosen = head.choose_decoding(_problem(backbone), None, outputs, ROWS, ONES, limits, None, Silent())
    assert [beams for beams, _ in backbone.asked] == asked
    assert chosen.beams == (3 if len(asked) > 16 else 1) == backbone.search[0]
    assert bool(chosen.facts) == (len(asked) > 16)


def test_what_a_trial_took_too_long_is_missing_for_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row takes five seconds and as many are allowed, but the trial takes 80 s of its 10."""
    backbone = _Backbone("wrong", "right")
    monkeypatch.setattr(time, "perf_counter", lambda: float(sum(beams for beams, _ in backbone.asked)))
    outputs = np.array(["wrong"] * len(ROWS), dtype=object)
    for rows, beams in ((10, 1), (1_000_000, 5)):
        backbone.asked.clear()
        limits = DecodingLimits(trial_s=10.0, row_s=5.01, rows=rows, beams=9)
        chosen = Seq2SeqHead().choose_decoding(_problem(backbone), None, outputs, ROWS, ONES, limits, None, Silent())
        assert chosen.beams == beams


def test_a_weight_of_the_length_that_takes_too_long_does_not_hide_one_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = _Backbone("quite very wrong", "wrong", "right")
    slow = {(5, 1.0): 5.0, (5, 2.0): 50.0, (2, 2.0): 50.0}
    monkeypatch.setattr(time, "perf_counter", lambda: sum(slow[search] for search in backbone.asked))
    outputs = np.array(["quite very wrong"] * len(ROWS), dtype=object)
    limits = DecodingLimits(trial_s=1e6, row_s=6.0, rows=40, beams=9)
    head = Seq2SeqHead(penalties=(2.0,))
    chosen = head.choose_decoding(_problem(backbone), None, outputs, ROWS, ONES, limits, None, Silent())
    assert (chosen.beams, chosen.length_penalty) == (5, 1.0)


def test_without_time_for_a_trial_nothing_is_decoded() -> None:
    choice, backbone = _choose("wrong", "right", DecodingLimits(trial_s=0.0, row_s=60.0, rows=40, beams=9))
    assert choice == 1
    assert not backbone.asked


def test_a_plan_is_followed_without_a_trial() -> None:
    choice, backbone = _choose("wrong", "right", AMPLE, planned=(BEAMS, 2.0))
    assert choice == BEAMS
    assert not backbone.asked


def test_the_untouched_answers_are_remembered_for_each_number_of_beams() -> None:
    backbone = _Backbone("one", "several")
    problem, head = _problem(backbone), Seq2SeqHead()
    assert set(head.base_outputs(problem, None, ROWS[:3], Silent())) == {"one"}
    backbone.search = (BEAMS, 1.0)
    assert set(head.base_outputs(problem, None, ROWS[:3], Silent())) == {"several"}
    assert set(head.base_outputs(problem, None, ROWS[:3], Silent())) == {"several"}
    assert len(backbone.asked) == 6
