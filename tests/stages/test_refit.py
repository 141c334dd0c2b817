"""Few labels: after tuning, the head is fitted anew to the tuned features, in each fold and in what ships."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tiny
from headstart.backbones.backbone import Recipe
from headstart.budget import Clock
from headstart.plan import Plan, RungPlan
from headstart.run_dir import RunDir
from headstart.settings import Settings
from headstart.stages.context import Context, offered_depths
from headstart.stages.final_training import train_final
from headstart.stages.fold import SHARES, network_of
from headstart.stages.read import read_data
from headstart.stages.replace_head import Replaced, replace_head
from headstart.stages.rung import Attempt, attempt_rung
from headstart.stages.select import Selected, select
from headstart.stages.tuning_plan import REFITTING, Forecast, refit_seconds
from headstart.types import Silent

EPOCHS = 3


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, Selected, Replaced, Attempt]:
    root = tmp_path_factory.mktemp("refit")
    data, model = tiny.text_data(root / "texts.csv", 14), tiny.text_model(root / "model")
    settings = Settings(str(data), model=str(model), offline=True, depth="block", engine="torch")
    task, dataset, split = read_data(settings, Silent())
    plan = Plan(rungs=(RungPlan("block", split.n_folds, EPOCHS),))
    context = Context(
        settings, task, dataset, split, plan, Clock(600), RunDir.create(root / "run"), Silent(), root / "cache"
    )
    selected = select(context)
    replaced = replace_head(context, selected)
    depth = offered_depths(context, selected.problem.backbone)[0]
    attempt = attempt_rung(context, selected, replaced, None, depth)
    assert isinstance(attempt, Attempt)
    return context, selected, replaced, attempt


def test_a_fold_s_network_has_the_head_that_was_fitted_to_its_features(tuned: Any) -> None:
    context, selected, _, attempt = tuned
    head, problem = context.task.head, selected.problem
    for fold in attempt.folds:
        assert tuple(fold.refitted) == SHARES
        for share, refitted in fold.refitted.items():
            module = network_of(context, selected, attempt.depth, fold, share)
            features = head.pooled(problem, refitted, module, fold.held)
            outputs = head.outputs(problem, module, fold.held, Silent())
            np.testing.assert_allclose(outputs, refitted.logits(features), rtol=1e-4, atol=1e-4)
            assert not any(name.startswith("head.") for name in fold.at(share))
        loss = head.dev_loss(problem, network_of(context, selected, attempt.depth, fold, 1.0), fold.held)
        assert loss == pytest.approx(fold.losses[1.0], rel=1e-4)


def test_what_ships_has_a_head_fitted_to_all_rows_and_is_saved_with_it(tuned: Any, tmp_path: Path) -> None:
    context, selected, _, attempt = tuned
    head, problem, rows = context.task.head, selected.problem, context.split.dev
    shipped = train_final(context, selected, attempt)
    outputs = head.outputs(problem, shipped.module, rows, Silent())
    features = head.pooled(problem, shipped.base, shipped.module, rows)
    np.testing.assert_allclose(outputs, shipped.base.logits(features), rtol=1e-4, atol=1e-4)
    again = head.refit_tuned(problem, shipped.base, shipped.module, rows)
    assert (again.kind, again.normalisation) == (shipped.base.kind, shipped.base.normalisation)
    head.save(problem, shipped.base, shipped.module, 1.0, tmp_path / "saved", context.dataset.classes)
    assert (tmp_path / "saved" / "model.safetensors").is_file()


def test_where_the_last_training_is_left_out_the_first_fold_ships_with_its_own_head(tuned: Any) -> None:
    context, selected, _, attempt = tuned
    late: Any = SimpleNamespace(**{**vars(context), "clock": Clock(0), "warnings": []})
    shipped = train_final(late, selected, attempt)
    assert any("The network of the first fold ships" in warning for warning in late.warnings)
    assert shipped.base is attempt.folds[0].refitted[attempt.share]


def test_the_forecast_counts_the_heads_that_are_fitted_anew() -> None:
    few = Recipe(1e-4, 1e-3, 32, 6, contrast=1.0)
    assert refit_seconds(few, 10.0) == pytest.approx(10 * REFITTING)
    assert refit_seconds(Recipe(1e-4, 1e-3, 32, 6), 10.0) == 0.0
    plain, refitting = Forecast(10.0, 2.0, 2.0, 0.0), Forecast(10.0, 2.0, 2.0, 0.0, refit_s=4.0)
    assert refitting.seconds(4) - plain.seconds(4) == pytest.approx(1.15 * 4.0)
