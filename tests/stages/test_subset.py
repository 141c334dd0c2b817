"""Where one pass over all rows does not fit the budget, a stratified part is used, and the run says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.budget import Clock
from headstart.data.split import Split
from headstart.plan import Plan
from headstart.settings import Settings
from headstart.stages import subset
from headstart.stages.context import Context
from headstart.stages.subset import fit_rows_to_budget, part_of, score_fewer_rows, time_answers
from headstart.types import Dataset, Example

N = 2000


def context_of(seconds: float, plan: Plan | None = None) -> Any:
    """Rows 0 to 1599 to learn from, two to a group, a quarter of them of class b; 400 to test on."""
    examples = tuple(Example(str(r), "", "b" if r % 8 < 2 else "a", str(r // 2), str(r)) for r in range(N))
    dataset = Dataset("text-classification", "text", Path(), examples, (), ("a", "b"), {}, "f")
    folds = np.arange(1600) // 2 % 3
    said: list[str] = []
    return SimpleNamespace(
        passes_per_test=1.0,
        answer_s=0.0,
        settings=Settings("data"),
        plan=plan or Plan(),
        dataset=dataset,
        split=Split(np.arange(1600), np.arange(1600, N), folds, "holdout"),
        clock=Clock(seconds),
        warnings=[],
        reporter=SimpleNamespace(say=said.append),
        run=SimpleNamespace(log=lambda *a, **k: None),
    )


def selected_at(rate: float, cached: Collection[int] = ()) -> Any:
    """A network at this rate, with these rows in the cache."""
    stores = {("plain", "pooled"): SimpleNamespace(verify=lambda digests: [d for d in digests if int(d) not in cached])}
    extractor = SimpleNamespace(rate=rate, stock_rate=min(rate, 10.0), parts=("pooled",), stores=stores)
    extractor.key_of = lambda example: example.digest
    extractor.backbone = SimpleNamespace(views=("plain",))
    return SimpleNamespace(extractor=extractor, problem=SimpleNamespace(backbone=extractor.backbone))


def test_all_rows_are_used_where_they_fit() -> None:
    context = context_of(seconds=300)
    fit_rows_to_budget(context, selected_at(20))  # 400 / 10 + 15 s are set aside; 245 s x 0.9 x 20 = 4,410 rows
    assert len(context.split.dev) == 1600
    assert context.warnings == []
    assert context.plan.dev_rows == 1600


def test_what_is_cached_needs_no_time() -> None:
    context = context_of(seconds=95)
    fit_rows_to_budget(context, selected_at(20, cached=range(1000)))  # 600 of 720 are left to compute
    assert len(context.split.dev) == 1600


def test_where_the_others_do_not_fit_what_is_cached_is_learnt_from() -> None:
    """Rows of a longer run before: all of them again, and as many others as there is time for."""
    before = context_of(seconds=95)
    fit_rows_to_budget(before, selected_at(20))
    cached = set(before.split.dev.tolist())
    for seconds, more in ((1, 0), (60, 90)):  # (60 - 40 - 15) s x 0.9 x 20 = 90 rows
        context = context_of(seconds)
        fit_rows_to_budget(context, selected_at(20, cached))
        kept = set(context.split.dev.tolist())
        assert cached <= kept and len(kept - cached) == pytest.approx(more, abs=3)
        assert context.warnings and context.plan.dev_rows == len(kept)
        again = context_of(3000, context.plan)
        fit_rows_to_budget(again, selected_at(20))
        assert set(again.split.dev.tolist()) == kept


def test_a_few_missing_rows_are_computed_in_any_case() -> None:
    context = context_of(seconds=1)
    fit_rows_to_budget(context, selected_at(20, range(0, 1600, 2)[50:] or ()))
    assert len(context.split.dev) < 1600
    context = context_of(seconds=1)
    fit_rows_to_budget(context, selected_at(20, set(range(1600)) - set(range(0, 1600, 32))))  # 50 are missing
    assert len(context.split.dev) == 1600 and context.warnings == []


def test_a_fold_of_a_part_stays_what_it_was() -> None:
    """Folds along a column, as --shift-column makes them: a part of the rows must not mix its values."""
    context = context_of(seconds=95)
    context.split = replace(context.split, folds=np.arange(1600) // 800)
    fit_rows_to_budget(context, selected_at(20))
    assert len(context.split.dev) < 1600
    np.testing.assert_array_equal(context.split.folds, context.split.dev // 800)


def test_else_a_stratified_part_of_whole_groups() -> None:
    context = context_of(seconds=95)
    fit_rows_to_budget(context, selected_at(20))  # 40 s x 0.9 x 20 = 720 rows
    kept = context.split.dev
    assert 710 <= len(kept) <= 720
    assert len(context.split.folds) == len(kept)
    assert context.split.n_folds == 3
    assert np.mean(kept % 8 < 2) == pytest.approx(0.25, abs=0.02)
    assert {r // 2 * 2 for r in kept} | {r // 2 * 2 + 1 for r in kept} == set(kept.tolist())
    assert len(context.split.test) == 400
    assert f"{len(kept)} of 1600 rows are learnt from" in context.warnings[0]


@pytest.mark.parametrize(("needed", "kept"), [(5, 1600), (50, 240), (100, 120), (200, 120)])
@pytest.mark.parametrize("cached", [(), range(1600)])
def test_where_the_whole_network_is_tuned_first_an_epoch_must_fit_not_a_pass(
    cached: Collection[int], needed: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 s x 0.9 x 10 = 360 passes by torch, three a step; states in the cache save none of them."""
    monkeypatch.setattr(subset, "begins_with_inputs", lambda context, backbone: True)
    context, selected = context_of(seconds=95), selected_at(20, cached)
    selected.problem.backbone.whole_length = 100
    selected.problem.backbone.step_length = lambda example: needed
    fit_rows_to_budget(context, selected)
    assert len(context.split.dev) == pytest.approx(kept, abs=4)
    assert (kept == 1600) == (not context.warnings) and all("one epoch over all" in told for told in context.warnings)


def test_a_plan_repeats_the_choice_whatever_the_clock_says() -> None:
    first = context_of(seconds=100)
    fit_rows_to_budget(first, selected_at(20))
    again = context_of(seconds=3000, plan=first.plan)
    fit_rows_to_budget(again, selected_at(500))
    assert np.array_equal(again.split.dev, first.split.dev)
    assert np.array_equal(again.split.folds, first.split.folds)


def test_two_groups_of_a_rare_class_are_kept() -> None:
    context = context_of(seconds=100)
    rare = [Example(e.id, "", "c" if r in (100, 300, 500) else e.target, e.group, e.digest)
            for r, e in enumerate(context.dataset.examples)]  # fmt: skip
    context.dataset = replace(context.dataset, examples=tuple(rare), classes=("a", "b", "c"))
    assert len({100, 300, 500} & set(part_of(context.dataset, context.split, 40, seed=0).dev.tolist())) == 2
    assert 8 <= len(part_of(context.dataset, context.split, 1, seed=0).dev) <= 12  # two groups of each, which may share


def test_a_few_of_very_many_rows_are_no_more_than_that() -> None:
    context = context_of(seconds=300)
    split = part_of(context.dataset, context.split, 20, seed=0)  # less than a fiftieth
    assert len(split.dev) == pytest.approx(20, abs=4)
    assert {context.dataset.examples[r].target for r in split.dev} == {"a", "b"}


def test_at_least_a_hundred_rows_are_tried() -> None:
    context = context_of(seconds=10)
    fit_rows_to_budget(context, selected_at(20))
    assert 60 <= len(context.split.dev) <= 100


def test_where_nothing_is_to_be_computed_its_time_goes_to_test_rows() -> None:
    context = context_of(seconds=29)
    score_fewer_rows(context, selected_at(20, range(1600)))  # a third of 29 s, where half of 14 s was possible above
    assert 98 <= len(context.split.test) <= 102


def test_test_rows_are_thinned_out_where_scoring_all_would_take_too_long() -> None:
    context = context_of(seconds=29)
    score_fewer_rows(context, selected_at(20))  # half of 29 - 15 s, 10 a second: 70 of 400
    kept = context.split.test
    assert 66 <= len(kept) <= 70 and set(kept) <= set(range(1600, N))
    assert sorted(kept // 2) == sorted([*kept[::2] // 2] * 2)  # whole groups
    assert abs(np.mean(kept % 8 < 2) - 0.25) < 0.1
    assert context.plan.test_rows in (69, 70)
    assert context.warnings[0].startswith(f"{len(kept)} of 400 test rows are scored: more would not fit the budget")
    again = context_of(seconds=600, plan=context.plan)
    score_fewer_rows(again, selected_at(20))
    assert (again.split.test == kept).all()  # as planned


class Slow:
    """Answers take 20 ms each, by a clock of its own."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def base_outputs(self, problem: Any, base: None, rows: Any, reporter: Any) -> Any:
        self.seconds += 0.02 * len(rows)
        problem.memo.setdefault("untouched", {}).update({int(r): "text" for r in rows})
        return np.array(["text"] * len(rows), dtype=object)


def answering(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Plan | None = None
) -> tuple[Context, Any]:
    made = context_of(seconds)
    slow = Slow()
    monkeypatch.setattr(subset, "time", SimpleNamespace(perf_counter=lambda: slow.seconds))
    task: Any = SimpleNamespace(decision_rows=200, head=slow)
    about = made.dataset, made.split, plan or Plan(), made.clock, made.run, made.reporter
    context = Context(made.settings, task, *about, tmp_path)
    selected = selected_at(1000.0)
    selected.extractor.stock_rate = 1000.0
    selected.problem = ProblemStub(SimpleNamespace(views=("plain",), reads_targets=True, features=("mean",)), {})
    return context, selected


@dataclass
class ProblemStub:
    backbone: Any
    memo: dict[str, dict[int, str]]


def test_slow_answers_are_given_to_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, selected = answering(24.0, tmp_path, monkeypatch)
    before = context.held_rows(0)
    assert len(before) == 200
    time_answers(context, selected)
    assert context.answer_s == pytest.approx(0.02)
    deciding = context.held_rows(0)
    assert len(deciding) == context.plan.decision_rows and 80 <= len(deciding) <= 120  # a tenth of 24 s
    answered = set(selected.problem.memo["untouched"])
    assert answered <= set(deciding.tolist()) <= set(before.tolist())  # nothing is answered in vain
    score_fewer_rows(context, selected)
    assert 220 <= len(context.split.test) <= 400  # a third of 24 s, at 21 to 31 ms each
    again, same = answering(3600.0, tmp_path, monkeypatch, context.plan)
    time_answers(again, same)
    assert (again.held_rows(0) == deciding).all()  # as planned


def test_where_the_whole_network_comes_first_its_passes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, selected = answering(10.0, tmp_path, monkeypatch)
    monkeypatch.setattr(subset, "begins_with_inputs", lambda context, backbone: True)
    selected.extractor.stock_rate = 100.0
    time_answers(context, selected)
    assert context.plan.decision_rows == 66  # 2 s at 20 ms and 10 ms each


def test_fast_answers_are_given_to_all_that_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, selected = answering(3600.0, tmp_path, monkeypatch)
    time_answers(context, selected)
    assert len(context.held_rows(0)) == 200 and context.plan.decision_rows == 200


def test_all_test_rows_are_scored_where_they_fit() -> None:
    context = context_of(seconds=300)
    score_fewer_rows(context, selected_at(20))
    assert len(context.split.test) == 400 and context.warnings == [] and context.plan.test_rows == 400


def test_with_no_time_left_a_few_test_rows_are_scored() -> None:
    context = context_of(seconds=3)
    score_fewer_rows(context, selected_at(20))
    assert 20 <= len(context.split.test) <= 40
