"""The last training begins at the untuned network where recipe and time allow that; else it goes on from a fold's."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import tiny
from headstart.budget import Clock
from headstart.plan import Plan, RungPlan
from headstart.run_dir import RunDir
from headstart.settings import Settings
from headstart.stages import final_training
from headstart.stages.context import Context, offered_depths
from headstart.stages.final_training import FINAL_RATE, train_final
from headstart.stages.read import read_data
from headstart.stages.replace_head import replace_head
from headstart.stages.rung import Attempt, attempt_rung
from headstart.stages.select import Selected, select
from headstart.training.weights import Weights, snapshot
from headstart.types import Silent

EPOCHS = 4
Tuned = tuple[Context, Selected, Attempt]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    root = tmp_path_factory.mktemp("final")
    data, model = tiny.image_data(root / "data", 12), tiny.image_model(root / "model")
    settings = Settings(str(data), model=str(model), offline=True, depth="block", engine="torch")
    task, dataset, split = read_data(settings, Silent())
    run = RunDir.create(root / "run")
    plan = Plan(rungs=(RungPlan("block", 1, EPOCHS),))
    context = Context(settings, task, dataset, split, plan, Clock(600), run, Silent(), root / "cache")
    selected = select(context)
    replaced = replace_head(context, selected)
    depth = offered_depths(context, selected.problem.backbone)[0]
    attempt = attempt_rung(context, selected, replaced, None, depth)
    assert isinstance(attempt, Attempt)
    return context, selected, replace(attempt, epochs=EPOCHS)


def last_training(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch, seconds: float, is_better: bool = True, **changes: Any
) -> tuple[Weights, int, float, Any]:
    """The weights that it begins with, its epochs, its rate, and the context; seconds: left for it, 10 a pass.

    is_better: whether the recipe says that beginning anew is.
    """
    context, selected, attempt = tuned
    seen: list[tuple[Weights, int, float]] = []

    def note(*arguments: Any) -> Any:
        seen.append((snapshot(arguments[2]), arguments[8], arguments[9]))
        return SimpleNamespace(stopped="")

    monkeypatch.setattr(final_training, "train_with_progress", note)
    monkeypatch.setattr(final_training, "recipe_of", lambda *_: SimpleNamespace(final_anew=is_better))
    changed: Any = SimpleNamespace(
        **{**vars(context), "clock": Clock(seconds), "warnings": [], "reserve_seconds": 0.0, **changes}
    )
    train_final(changed, selected, replace(attempt, pass_s=10.0, refit_s=0.0))
    assert attempt.rung.facts["final_epochs"] == seen[0][1]
    assert attempt.rung.facts["final_anew"] == changed.plan.final_anew
    return *seen[0], changed


def is_fold_s(begins: Weights, attempt: Attempt) -> bool:
    return all(torch.equal(begins[name], value) for name, value in attempt.folds[0].end.items())


@pytest.mark.parametrize(("seconds", "anew"), [(50.0, True), (35.0, False)])
def test_it_begins_anew_where_the_whole_schedule_fits(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch, seconds: float, anew: bool
) -> None:
    begins, epochs, rate, context = last_training(tuned, monkeypatch, seconds)
    assert (epochs, rate) == ((EPOCHS, 1.0) if anew else (EPOCHS // 2, FINAL_RATE))
    assert is_fold_s(begins, tuned[2]) is not anew
    assert context.plan.final_anew is anew
    assert context.warnings == []


@pytest.mark.parametrize("anew", [True, False])
def test_a_plan_decides_it_and_time_does_not(tuned: Tuned, monkeypatch: pytest.MonkeyPatch, anew: bool) -> None:
    plan = tuned[0].plan.with_(final_anew=anew)
    begins, epochs, rate, context = last_training(tuned, monkeypatch, 35.0 if anew else 600.0, plan=plan)
    assert is_fold_s(begins, tuned[2]) is not anew
    assert (epochs, rate) == ((3, 1.0) if anew else (EPOCHS // 2, FINAL_RATE))
    assert len(context.warnings) == int(anew)  # time for three of four epochs


def test_another_recipe_goes_on_with_all_the_time_there_is(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    begins, epochs, rate, _ = last_training(tuned, monkeypatch, 600.0, is_better=False)
    assert is_fold_s(begins, tuned[2])
    assert (epochs, rate) == (EPOCHS // 2, FINAL_RATE)


def test_a_fold_along_a_column_is_not_gone_on_from(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(tuned[0].settings, shift_column="site")
    begins, epochs, rate, _ = last_training(tuned, monkeypatch, 35.0, settings=settings)
    assert not is_fold_s(begins, tuned[2])
    assert (epochs, rate) == (3, 1.0)
