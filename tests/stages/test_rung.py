"""A rung is tuned on as many folds as the comparison needs, no more than fit, and never on fewer than were planned."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from headstart.backbones.backbone import Depth
from headstart.budget import Clock
from headstart.plan import Plan, RungPlan
from headstart.settings import Settings
from headstart.stages import replace_head, tuning_plan
from headstart.stages import rung as rung_stage
from headstart.stages.context import Rung
from headstart.stages.fold import Fold
from headstart.stages.rung import DECIDING_LEVEL, EARLY_LEVEL, SIGN_LEVEL, Attempt, attempt_rung
from headstart.stages.tuning_plan import Forecast, affordable_final
from headstart.types import Interval

BLOCK = Depth("block", "last block and head", "cut 6", 0.1)
THIRD = Depth("third", "last third and head", "cut 5", 0.3)
FOLD_S = 20.0

# (value, half width at the deciding level) of the difference, by the number of folds that were scored
Differences = dict[int, tuple[float, float]]


class Ladder:
    """Rungs with made-up differences: nothing is trained, every fold takes FOLD_S."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        seconds: float = 1000.0,
        folds: int = 3,
        method: str = "holdout",
        rungs: tuple[RungPlan, ...] | None = None,
        **settings: Any,
    ) -> None:
        self.tuned: list[str] = []
        self.answered: list[int] = []
        self.stops: dict[tuple[str, int], str] = {}
        self.finished_an_epoch = False  # where a training is stopped
        self.differences: dict[str, Differences] = {}
        self.planned_folds = folds
        recipe = SimpleNamespace(batch_size=32, contrast=0.0)
        head = SimpleNamespace(build=lambda *a: None, decision_metric="log_loss")
        self.context: Any = SimpleNamespace(
            settings=Settings("data", **settings),
            plan=Plan(rungs=rungs),
            task=SimpleNamespace(head=head, decision_rows=None),
            held_rows=lambda fold, most: np.arange(96)[fold::3][:most],
            clock=Clock(seconds),
            run=SimpleNamespace(log=lambda *a, **k: None),
            split=SimpleNamespace(dev=np.arange(96), folds=np.arange(96) % 3, n_folds=3, method=method),
            needs_all_folds=method == "cross-validation",
            warnings=[],
            reserve_seconds=10.0,
        )
        self.selected: Any = SimpleNamespace(
            problem=SimpleNamespace(backbone=SimpleNamespace(recipe=lambda depth: recipe))
        )
        untuned = Rung("head", "", Interval(0.5, 0.4, 0.6, 96), np.zeros(96), np.arange(96), 1.0)
        self.replaced: Any = SimpleNamespace(rung=untuned, bases=[None, None, None])
        monkeypatch.setattr(rung_stage, "plan_rung", lambda c, s, r, m, depth, *a: self._plan(depth))
        monkeypatch.setattr(rung_stage, "hopeless", lambda *a: "")
        monkeypatch.setattr(rung_stage, "tune_fold", self._tune)
        monkeypatch.setattr(rung_stage, "best_share", lambda folds: (1.0, {"1.0": 0.5}))
        monkeypatch.setattr(rung_stage, "held_outputs", self._outputs)
        monkeypatch.setattr(rung_stage, "score_of", lambda *a: Interval(0.5, 0.4, 0.6, 96))
        monkeypatch.setattr(rung_stage, "distance", lambda *a: 0.1)
        monkeypatch.setattr(rung_stage, "_compared", self._compare)

    def _plan(self, depth: Depth) -> RungPlan:
        planned = [rung for rung in self.context.plan.rungs or () if rung.name == depth.name]
        return planned[0] if planned else RungPlan(depth.name, self.planned_folds, 4)

    def _tune(self, context: Any, selected: Any, replaced: Any, depth: Depth, number: int, *rest: Any) -> Any:
        self.tuned.append(f"{depth.name} {number}")
        stopped = self.stops.get((depth.name, number), "")
        trained = SimpleNamespace(stopped=stopped, best_epoch=2, seconds=1.0, steps=10, curve=[])
        losses = {1.0: 0.5} if not stopped or self.finished_an_epoch else {}
        return Fold(np.arange(96)[number::3], None, {}, {}, cast(Any, trained), losses, seconds=FOLD_S)

    def _outputs(self, c: Any, s: Any, depth: Depth, folds: list[Any], share: float) -> tuple[Any, Any]:
        rows = np.concatenate([fold.held for fold in folds])
        self.answered.append(len(rows))
        return np.zeros(len(rows)), rows

    def _compare(
        self, c: Any, s: Any, earlier: Rung, outputs: Any, rows: Any, weights: Any, level: float
    ) -> tuple[Interval, float]:
        assert weights.sum() == len(rows)  # answers cost nothing here
        assert np.isin(rows, earlier.rows).all()  # only rows that both rungs were scored on
        value, half = self.differences[self.depth.name][len(rows) // 32]
        half *= {DECIDING_LEVEL: 1.0, EARLY_LEVEL: 1.4, SIGN_LEVEL: 0.41}[level]
        return Interval(value, value - half, value + half, len(rows)), 0.5

    def attempt(self, depth: Depth, before: Attempt | None = None, **differences: Differences) -> Any:
        self.depth = depth
        self.differences |= differences
        return attempt_rung(self.context, self.selected, self.replaced, before, depth)


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rung_stage, "_mean_curve", lambda curves: [])
    monkeypatch.setattr(rung_stage, "overfitting_facts", lambda *a: {})


def test_a_comparison_that_is_clear_leaves_out_the_other_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (-0.1, 0.1):
        ladder = Ladder(monkeypatch)
        attempt = ladder.attempt(BLOCK, block={1: (value, 0.05)})
        assert ladder.tuned == ["block 0"]
        assert attempt.plan.folds == 1
    # at the stricter level of early looks this one is open: 0.05 * 1.4 = 0.07
    ladder = Ladder(monkeypatch)
    attempt = ladder.attempt(BLOCK, block={1: (-0.06, 0.05), 2: (-0.06, 0.05), 3: (-0.06, 0.05)})
    assert ladder.tuned == ["block 0", "block 1", "block 2"]
    assert attempt.rung.difference.high < 0


def test_where_answers_are_costly_rows_count_for_those_that_are_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 of a fold's 48 rows had errors, of the others half are answered, in each fold that is tuned."""
    ladder, seen = Ladder(monkeypatch, folds=2), []
    ladder.context.task.decision_rows = 200
    ladder.context.dataset = SimpleNamespace(examples=range(144))
    ladder.context.task.head.row_scores = lambda problem, outputs, rows: (outputs, np.ones(len(rows)))
    held = np.arange(144)
    ladder.replaced.rung.rows, ladder.replaced.rung.outputs = held, (held % 9 < 3).astype(float)
    monkeypatch.setattr(ladder, "_tune", lambda c, s, r, depth, number, *a: Fold(
        held[number::3], None, {}, {}, cast(Any, SimpleNamespace(stopped="", best_epoch=1, seconds=1.0, steps=10,
                                                                 curve=[])), {1.0: 0.5}, seconds=FOLD_S))  # fmt: skip
    monkeypatch.setattr(rung_stage, "tune_fold", ladder._tune)

    def compare(c: Any, s: Any, earlier: Rung, outputs: Any, rows: Any, weights: Any, level: float) -> Any:
        seen.append((len(rows), weights.sum()))
        return Interval(-0.1, -0.2, 0.0, len(rows)), 0.5

    monkeypatch.setattr(rung_stage, "_compared", compare)
    attempt = ladder.attempt(BLOCK)
    assert seen[0] == (32, 48) and seen[-1] == (96, 144)
    assert attempt.rung.weights is not None and attempt.rung.weights.sum() == 144
    assert ladder.answered == [32, 64, 96]


def test_answers_are_timed_without_the_network_s_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 held-out rows at half a second each; from the inputs half of that is their pass."""
    for depth, answer_s in ((BLOCK, 0.5), (Depth("all", "whole network", None, 1.0), 0.25)):
        ladder, now = Ladder(monkeypatch, folds=1), [0.0]
        outputs = ladder._outputs

        def slow(*args: Any, now: list[float] = now, outputs: Any = outputs) -> Any:
            made = outputs(*args)
            now[0] += 0.5 * len(made[1])
            return made

        monkeypatch.setattr(rung_stage, "held_outputs", slow)
        monkeypatch.setattr(rung_stage, "time", SimpleNamespace(perf_counter=lambda now=now: now[0]))
        ladder.selected.extractor = SimpleNamespace(stock_rate=4.0)
        assert ladder.attempt(depth, **{depth.name: {1: (-0.1, 0.05)}}).answer_s == pytest.approx(answer_s)


def test_the_stock_loader_s_batches_hold_answers_of_any_length() -> None:
    """16 rows are answered together until the longest text ends; sorted by targets, half of the batches are short."""
    targets = ["a" * 10, "a" * 100] * 32
    context: Any = SimpleNamespace(
        dataset=SimpleNamespace(examples=[SimpleNamespace(target=target) for target in targets]),
        rng=lambda offset: np.random.default_rng(offset),
    )
    rows = np.arange(64)
    for texts, times in ((targets, 400 / 220), (["a" * 50] * 64, 1.0), ([""] * 64, 1.0)):
        rung = Rung("all", "", Interval(0, 0, 0, 64), np.array(texts, dtype=object), rows, 0.0)
        assert tuning_plan.stock_answer_s(context, rung, 2.0) == pytest.approx(2.0 * times)


def test_better_but_not_clearly_takes_more_folds_of_both_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch)
    block = ladder.attempt(BLOCK, block={1: (-0.1, 0.05)})
    ladder.planned_folds = 1  # the block has no outputs for more
    third = ladder.attempt(THIRD, block, third={1: (-0.02, 0.03), 2: (-0.02, 0.025), 3: (-0.02, 0.01)})
    assert ladder.tuned == ["block 0", "third 0", "third 1", "block 1", "third 2", "block 2"]
    assert (third.plan.folds, len(block.folds)) == (3, 3)
    assert sorted(block.rung.rows) == list(range(96))
    assert third.rung.difference.high < 0
    assert block.plan.folds == 1  # a replay tunes the others when the third asks for them


def test_more_folds_are_left_out_where_they_promise_nothing_or_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch, folds=1)
    ladder.attempt(BLOCK, block={1: (0.01, 0.05)})  # not clear, but not better either
    assert ladder.tuned == ["block 0"]
    # 10 s are kept back, the last training of 1 epoch takes 0.35 s: 1.15 * 20 s of a fold no longer fit
    ladder = Ladder(monkeypatch, seconds=10 + 23, folds=1)
    ladder.attempt(BLOCK, block={1: (-0.01, 0.05)})
    assert ladder.tuned == ["block 0"]
    ladder = Ladder(monkeypatch, seconds=10 + 25, folds=1)
    ladder.attempt(BLOCK, block={1: (-0.01, 0.05), 2: (-0.04, 0.03)})
    assert ladder.tuned == ["block 0", "block 1"]


def test_behind_a_tuned_rung_an_open_comparison_takes_more_folds_whichever_is_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_one, behind, clear_one = {1: (0.01, 0.05), 2: (-0.01, 0.005)}, {1: (0.03, 0.05)}, {1: (0.1, 0.05)}
    for differences, n_folds in ((open_one, 2), (behind, 1), (clear_one, 1)):
        ladder = Ladder(monkeypatch)
        block = ladder.attempt(BLOCK, block={1: (-0.1, 0.05)})
        ladder.planned_folds = 1
        third = ladder.attempt(THIRD, block, third=differences)
        assert (third.plan.folds, len(third.folds), len(block.folds)) == (n_folds, n_folds, n_folds)
        assert block.rung.facts["folds"] == n_folds and f"on {n_folds} fold" in block.rung.description
    # 10 s are kept back; a fold of either rung takes 20 s, with the margin 46 s for both
    for seconds, n_folds in ((10 + 45, 1), (10 + 48, 2)):
        ladder = Ladder(monkeypatch, seconds=seconds)
        block = ladder.attempt(BLOCK, block={1: (-0.1, 0.05)})
        ladder.planned_folds = 1
        assert len(ladder.attempt(THIRD, block, third=open_one).folds) == n_folds
    # where either fold breaks off both are left at one
    for name in ("block", "third"):
        ladder = Ladder(monkeypatch)
        block = ladder.attempt(BLOCK, block={1: (-0.1, 0.05)})
        ladder.planned_folds, ladder.stops = 1, {(name, 1): "out of time"}
        third = ladder.attempt(THIRD, block, third=open_one)
        assert (third.plan.folds, len(third.folds), len(block.folds)) == (1, 1, 1)
    # a head that was trained is no tuned rung: behind it, as behind the untuned one, worse is not looked at again
    ladder = Ladder(monkeypatch, folds=1)
    head = ladder.attempt(Depth("head", "pyramid and head", "cut 6", 0.05), head={1: (-0.1, 0.05)})
    ladder.attempt(BLOCK, head, block=open_one)
    assert ladder.tuned == ["head 0", "block 0"]


def test_a_plan_is_followed_to_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch, rungs=(RungPlan("block", 1, 4), RungPlan("third", 2, 4)))
    open_ones = {1: (-0.02, 0.03), 2: (-0.02, 0.03)}
    block = ladder.attempt(BLOCK, block=open_ones)
    ladder.attempt(THIRD, block, third=open_ones)
    assert ladder.tuned == ["block 0", "third 0", "third 1", "block 1"]


def test_cross_validation_needs_every_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch, method="cross-validation")
    ladder.attempt(BLOCK, block={3: (-0.1, 0.05)})
    assert ladder.tuned == ["block 0", "block 1", "block 2"]
    ladder = Ladder(monkeypatch, method="cross-validation")
    ladder.stops["block", 1] = "out of time"
    assert ladder.attempt(BLOCK) == "out of time"
    assert ladder.context.warnings == ["Tuning the last block and head stopped: out of time; the rung before ships."]


def test_a_fold_that_is_cut_short_leaves_those_before_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(monkeypatch)
    ladder.stops["block", 1] = "out of time"
    attempt = ladder.attempt(BLOCK, block={1: (-0.06, 0.05)})
    assert (attempt.plan.folds, attempt.rung.difference.high < 0) == (1, True)
    ladder = Ladder(monkeypatch)
    ladder.stops["block", 0] = "out of time"
    assert ladder.attempt(BLOCK) == "out of time"


def test_what_a_fold_learnt_until_time_was_over_counts_where_there_is_nothing_better(monkeypatch: Any) -> None:
    ladder = Ladder(monkeypatch)
    ladder.finished_an_epoch = True
    ladder.stops["block", 0] = "out of time in epoch 5 of 7"
    attempt = ladder.attempt(BLOCK, block={1: (-0.1, 0.05)})
    assert (attempt.plan.folds, attempt.epochs, ladder.tuned) == (1, 2, ["block 0"])
    assert "cut short (out of time in epoch 5 of 7)" in ladder.context.warnings[0]
    ladder = Ladder(monkeypatch)
    ladder.finished_an_epoch = True
    ladder.stops["block", 1] = "out of time"  # the first one was trained to its end
    assert len(ladder.attempt(BLOCK, block={1: (-0.06, 0.05)}).folds) == 1 and ladder.context.warnings == []


def test_only_one_of_two_last_trainings_is_counted() -> None:
    # 10 s a pass, 3 folds of 2/3, 4 epochs: 1.15 * ((4 + 0.1 * 7) * 2 * 10 + 2) = 110.4; 2 epochs at the end: 23
    assert Forecast(10.0, 2.0, 2.0, before_s=0.0).seconds(4) == pytest.approx(110.4 + 23)
    assert Forecast(10.0, 2.0, 2.0, before_s=8.0).seconds(4) == pytest.approx(110.4 + 15)
    assert Forecast(10.0, 2.0, 2.0, before_s=80.0).seconds(4) == pytest.approx(110.4)


def test_the_last_training_takes_as_many_epochs_as_fit() -> None:
    context: Any = SimpleNamespace(clock=Clock(60), reserve_seconds=20.0)  # 40 s left
    assert affordable_final(context, 3, pass_s=10.0) == 3
    assert affordable_final(context, 6, pass_s=10.0) == 3  # 1.05 * 10 s each
    assert affordable_final(context, 6, pass_s=50.0) == 0


def plan_of(
    monkeypatch: pytest.MonkeyPatch, seconds: float, depth: str = "auto", compared: int = 96, untouched: bool = False,
    before_s: float = 0.0, test: int = 0, reserve: list[float] | None = None, answer_s: float = 0.0,
    deciding: list[int | None] | None = None,
) -> RungPlan | str:  # fmt: skip
    """For 96 rows in steps of 32 that take 1 s each, epochs from 3 to 8. untouched: what came before learnt nothing.
    test: rows, at 0.1 s each beside answer_s. reserve: gets what is kept back; deciding: how many rows decide.
    """
    recipe = SimpleNamespace(contrast=0.0, batch_size=32, min_epochs=3, max_epochs=8)
    context: Any = SimpleNamespace(
        settings=Settings("data", depth=depth),
        plan=Plan(),
        task=SimpleNamespace(decision_folds=None, decision_rows=None, control_is_untuned=untouched),
        clock=Clock(seconds),
        run=SimpleNamespace(log=lambda *a, **k: None),
        split=SimpleNamespace(
            dev=np.arange(96), folds=np.arange(96) % 3, n_folds=3, method="holdout", test=np.arange(test)
        ),
        passes_per_test=1.0,
        needs_all_folds=False,
        held_rows=lambda fold: np.arange(96)[np.arange(96) % 3 == fold],
        used_folds=[0, 1, 2],
        reserve_seconds=(0.1 + answer_s) * test,
    )
    selected: Any = SimpleNamespace(
        problem=SimpleNamespace(backbone=SimpleNamespace(recipe=lambda depth: recipe)),
        extractor=SimpleNamespace(stock_rate=10.0),
    )
    rung = SimpleNamespace(rows=[0], outputs=["a text"])
    replaced: Any = SimpleNamespace(seconds_per_output=answer_s, rung=rung)
    monkeypatch.setattr(tuning_plan, "_share_of_answers", lambda *a: 1.0)
    monkeypatch.setattr(tuning_plan, "decide_on_fewer", lambda *a: None)
    monkeypatch.setattr(tuning_plan, "_seconds_per_step", lambda *a: 1.0)
    module: Any = None
    plan = tuning_plan.plan_rung(context, selected, replaced, module, BLOCK, compared, before_s)
    if reserve is not None:
        reserve.append(context.reserve_seconds)
    if deciding is not None:
        deciding.append(context.plan.decision_rows)
    return plan


def test_a_whole_schedule_on_one_fold_comes_before_a_cut_one_on_three(monkeypatch: pytest.MonkeyPatch) -> None:
    # 3 s a pass, of a fold 2; the last training of 8 / 2 epochs 13.8 s; looks at held-out rows count as epochs
    assert plan_of(monkeypatch, 80) == RungPlan("block", 3, 8)  # 3 * 1.15 * 2 * 9.1 + 13.8 = 76.6
    assert plan_of(monkeypatch, 70) == RungPlan("block", 1, 8)  # 1.15 * 2 * 9.1 + 13.8 = 34.7
    assert plan_of(monkeypatch, 21) == RungPlan("block", 1, 5)  # 1.15 * 2 * 5.8 + 2 * 3.45 = 20.2
    assert plan_of(monkeypatch, 80, compared=32) == RungPlan("block", 1, 8)  # the rung before has one fold


def test_too_few_epochs_are_left_out_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not fit" in str(plan_of(monkeypatch, 10))  # 1.15 * 2 * 2.5 + 3.45 = 9.2; three take 15.2
    assert plan_of(monkeypatch, 10, depth="block") == RungPlan("block", 1, 2)


def test_behind_the_untouched_model_a_fold_s_network_is_worth_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # without the last training: 3 epochs 1.15 * 2 * 3.6 = 8.3 s, 4 of them 10.8
    assert plan_of(monkeypatch, 10, untouched=True) == RungPlan("block", 1, 3)
    assert plan_of(monkeypatch, 12, untouched=True) == RungPlan("block", 1, 4)
    assert "does not fit" in str(plan_of(monkeypatch, 8, untouched=True))
    assert plan_of(monkeypatch, 21, untouched=True) == plan_of(monkeypatch, 21)
    # a tuned rung ships what all rows taught it
    assert "does not fit" in str(plan_of(monkeypatch, 8, untouched=True, before_s=2.0))


def test_fewer_test_rows_are_answered_where_else_nothing_could_be_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 s are kept back for 100 test rows; 3 epochs take 8.3 s."""
    reserve: list[float] = []
    assert plan_of(monkeypatch, 19, untouched=True, test=100, reserve=reserve) == RungPlan("block", 1, 3)
    assert plan_of(monkeypatch, 15, untouched=True, test=100, reserve=reserve) == RungPlan("block", 1, 3)
    assert "does not fit" in str(plan_of(monkeypatch, 14, untouched=True, test=100, reserve=reserve))
    assert "does not fit" in str(plan_of(monkeypatch, 15, test=100, reserve=reserve))
    assert reserve == pytest.approx([10.0, 6.0, 10.0, 10.0])


def test_fewer_rows_decide_where_else_nothing_could_be_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """3 epochs take 8.3 s, the 32 rows of a fold 1.15 * 32 * 0.2 = 7.4; half of them decide at least."""
    rows: list[int | None] = []
    left = {16.0: None, 15.0: 29, 12.0: 16, 11.9: None}
    plans = [plan_of(monkeypatch, s, untouched=True, answer_s=0.2, deciding=rows) for s in left]
    assert plans[:3] == [RungPlan("block", 1, 3)] * 3 and "does not fit" in str(plans[3])
    assert rows == list(left.values())
    assert "does not fit" in str(plan_of(monkeypatch, 15.0, answer_s=0.2, deciding=rows))  # a head has learnt
    # test rows come first: 40 of 100 give 12 s of the 30 that are kept back for them
    kept_back: list[float] = []
    plan_of(monkeypatch, 30 + 4, untouched=True, answer_s=0.2, test=100, reserve=kept_back, deciding=rows)
    plan_of(monkeypatch, 30 + 3, untouched=True, answer_s=0.2, test=100, reserve=kept_back, deciding=rows)
    assert kept_back == pytest.approx([18.0, 18.0]) and rows[-2:] == [None, 29]


def test_rows_that_no_longer_decide_leave_the_untuned_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replace_head, "score_of", lambda context, selected, outputs, rows: (list(outputs), list(rows)))
    rung = Rung("untouched", "", Interval(0, 0, 0, 3), np.array(["a", "b", "c"]), np.array([4, 7, 9]), 0.0)
    context, replaced, selected = (SimpleNamespace(deciding_rows=np.array([9, 4])), SimpleNamespace(rung=rung), None)
    replace_head.decide_on_fewer(cast(Any, context), cast(Any, selected), cast(Any, replaced))
    assert (list(rung.outputs), list(rung.rows)) == (["c", "a"], [9, 4]) == rung.score


def test_test_rows_give_way_once() -> None:
    """Neither the second rung that is tried nor the second one of a plan takes more of them."""
    context: Any = SimpleNamespace(
        task=SimpleNamespace(control_is_untuned=True), split=SimpleNamespace(test=np.arange(100)), passes_per_test=1.0
    )
    selected: Any = SimpleNamespace(extractor=SimpleNamespace(stock_rate=10.0))
    replaced: Any = SimpleNamespace(seconds_per_output=0.0)
    for rungs, spared in ((None, 4.0), ((RungPlan("block", 1, 3), RungPlan("all", 1, 3)), 4.0),
                          ((RungPlan("all", 1, 3), RungPlan("block", 1, 3)), 0.0)):  # fmt: skip
        context.plan = Plan(rungs=rungs)
        assert tuning_plan._spared(context, selected, replaced, BLOCK) == pytest.approx(spared)


def test_the_answers_of_a_whole_network_count_its_passes() -> None:
    context: Any = SimpleNamespace(
        split=SimpleNamespace(dev=np.arange(96), n_folds=3), held_rows=lambda fold: np.arange(32),
        task=SimpleNamespace(target_kind="text", control_is_untuned=False, decision_rows=None),
    )  # fmt: skip
    recipe = SimpleNamespace(contrast=0.0, batch_size=32)
    selected: Any = SimpleNamespace(
        problem=SimpleNamespace(backbone=SimpleNamespace(recipe=lambda depth: recipe)),
        extractor=SimpleNamespace(stock_rate=4.0),
    )
    replaced: Any = SimpleNamespace(seconds_per_output=0.5, rung=None)
    scoring = {
        depth.name: tuning_plan._forecast(context, replaced, depth, 1, selected, 1.0, 0.0).scoring_s
        for depth in (BLOCK, Depth("all", "whole network", None, 1.0))
    }
    assert scoring == {"block": 16.0, "all": 24.0}


def test_rows_are_compared_and_scored_as_often_as_they_count() -> None:
    """The tuned network's rows lie in another order than the earlier rung's, which lacks one of them."""
    head = SimpleNamespace(
        row_scores=lambda problem, outputs, rows: (np.asarray(outputs), np.full(len(rows), 10)),
        draws=lambda *a: None, calibrate=lambda *a: 1.0, tempered=lambda outputs, temperature: outputs,
    )  # fmt: skip
    context: Any = SimpleNamespace(task=SimpleNamespace(head=head), rng=np.random.default_rng)
    selected: Any = SimpleNamespace(problem=SimpleNamespace(groups=np.arange(10)))
    earlier = Rung("untouched", "", Interval(0, 0, 0, 3), np.array([4.0, 0.0, 1.0]), np.array([7, 3, 5]), 0.0)
    outputs, rows, weights = np.array([1.0, 9.0, 2.0]), np.array([3, 4, 7]), np.array([2.0, 5.0, 1.0])
    difference, before = rung_stage._compared(context, selected, earlier, outputs, rows, weights, DECIDING_LEVEL)
    assert before == pytest.approx(4 / 30)  # row 3 counts twice, row 4 not at all
    assert difference.value == pytest.approx((2 * 1 + 2 - 4) / 30)
    assert replace_head.score_of(context, selected, outputs, rows, weights).value == pytest.approx(49 / 80)


def test_rows_that_are_not_answered_take_no_time() -> None:
    """Of 96 held-out rows the untouched model erred in 32; of the others half are answered."""
    head = SimpleNamespace(row_scores=lambda problem, outputs, rows: (outputs, np.ones(len(rows))))
    context: Any = SimpleNamespace(
        split=SimpleNamespace(dev=np.arange(288), n_folds=3), held_rows=lambda fold: np.arange(96),
        task=SimpleNamespace(target_kind="text", control_is_untuned=False, decision_rows=200, head=head),
        needs_all_folds=False, dataset=SimpleNamespace(examples=range(288)),
    )  # fmt: skip
    recipe = SimpleNamespace(contrast=0.0, batch_size=32)
    selected: Any = SimpleNamespace(problem=SimpleNamespace(backbone=SimpleNamespace(recipe=lambda depth: recipe)))
    rung = Rung("untouched", "", Interval(0, 0, 0, 96), (np.arange(96) < 32).astype(float), np.arange(96), 0.0)
    replaced: Any = SimpleNamespace(seconds_per_output=0.5, rung=rung)
    forecast = tuning_plan._forecast(context, replaced, BLOCK, 1, selected, 1.0, 0.0)
    assert forecast.scoring_s == pytest.approx(0.5 * 64)


def test_a_tuned_model_is_not_expected_to_repeat_itself() -> None:
    examples = [SimpleNamespace(target="x" * (10 + i // 16)) for i in range(64)]
    texts = ["x" * 10] * 64
    texts[5] = texts[20] = "la " * 100  # two of four batches wait for these
    context: Any = SimpleNamespace(
        task=SimpleNamespace(control_is_untuned=True), dataset=SimpleNamespace(examples=examples)
    )
    replaced: Any = SimpleNamespace(rung=SimpleNamespace(rows=np.arange(64), outputs=texts))
    assert tuning_plan._share_of_answers(context, replaced) == pytest.approx((10 + 11 + 12 + 13) / 620)
    replaced.rung.outputs = [""] * 64
    assert tuning_plan._share_of_answers(context, replaced) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_where_lengths_differ_the_usual_step_is_timed(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Steps take a second for each unit of the longest row; three of them must do."""
    sizes = np.exp(np.random.default_rng(seed).normal(3.0, 0.8, 240)).astype(np.int64)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(tuning_plan, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def train(module: Any, rows: Any, loss: Any, recipe: Any, epochs: int, seed: int, lengths: Any, watch: Any) -> Any:
        order = rows[np.argsort(lengths[rows], kind="stable")]
        batches = [order[i : i + 8] for i in range(0, len(order), 8)]
        for i in np.random.default_rng(seed).permutation(len(batches)):
            if watch.out_of_time():
                break
            loss(module, batches[i], None)
            clock.now += float(lengths[batches[i]].max())
            watch.on_step()
        return SimpleNamespace(steps=3, stopped="out of time")

    monkeypatch.setattr(tuning_plan, "train", train)
    context: Any = SimpleNamespace(
        split=SimpleNamespace(dev=np.arange(240)), dataset=SimpleNamespace(examples=[None] * 240),
        settings=SimpleNamespace(seed=seed), task=SimpleNamespace(
            target_kind="text", head=SimpleNamespace(step_loss=lambda *a: None)),
    )  # fmt: skip
    recipe = SimpleNamespace(contrast=0.0, batch_size=8, label_smoothing=0.0)
    selected: Any = SimpleNamespace(
        problem=SimpleNamespace(
            backbone=SimpleNamespace(recipe=lambda depth: recipe),
            features=SimpleNamespace(lengths=lambda rows: sizes[rows]),
        )
    )
    module: Any = None
    ordered = np.sort(sizes)
    true_s = np.mean([ordered[i : i + 8].max() for i in range(0, 240, 8)])
    assert tuning_plan._seconds_per_step(context, selected, module, BLOCK) == pytest.approx(true_s, rel=1e-6)
    none = SimpleNamespace(steps=0, stopped="a step of 8 examples takes more than the 0.5 GB of memory to spare")
    monkeypatch.setattr(tuning_plan, "train", lambda *a: none)
    assert tuning_plan._seconds_per_step(context, selected, module, BLOCK) == none.stopped
