"""How far to go from the untuned to the tuned weights: what held-out rows lose least with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from headstart.backbones.backbone import Depth, Recipe
from headstart.heads.head import Tunable
from headstart.stages import fold as fold_stage
from headstart.stages.context import Rung
from headstart.stages.fold import Fold, best_share, train_with_progress, tune_fold
from headstart.training.loop import Trained, Watch
from headstart.types import Interval, Silent

BLOCK = Depth("block", "last block and head", "cut", 0.1)
ALL = Depth("all", "whole network", None, 1.0)


def tuned(
    monkeypatch: pytest.MonkeyPatch, best: float, contrast: float = 0.0, depth: Depth = BLOCK,
    decision_rows: int | None = None,
) -> tuple[Fold, list[float]]:  # fmt: skip
    """A weight that training moves from 0 to 1; held-out rows would like it to be `best`. What was looked at, too."""
    module, looked = torch.nn.Linear(1, 1, bias=False), []
    torch.nn.init.zeros_(module.weight)

    def train(context: Any, selected: Any, module: Any, *rest: Any, **named: Any) -> Trained:
        torch.nn.init.ones_(module.weight)
        curve = [{"epoch": 1.0, "train_loss": 0.0, "dev_loss": (1.0 - best) ** 2}]
        return Trained(module, curve=curve, steps=1, seconds=1.0, stopped="", best_epoch=1)

    def dev_loss(problem: Any, module: Any, rows: Any) -> float:
        looked.append(float(module.weight.detach()))
        return (looked[-1] - best) ** 2

    monkeypatch.setattr(fold_stage, "train_with_progress", train)
    monkeypatch.setattr(fold_stage, "recipe_of", lambda *a: Recipe(1e-3, 1e-3, 8, 1, contrast=contrast))
    head = SimpleNamespace(build=lambda *a: module, dev_loss=dev_loss, refit_tuned=lambda *a: "refitted")
    context: Any = SimpleNamespace(
        split=SimpleNamespace(dev=np.arange(9), folds=np.arange(9) % 3), held_rows=lambda number: np.arange(0, 9, 3),
        task=SimpleNamespace(head=head, decision_rows=decision_rows), settings=SimpleNamespace(seed=0),
        needs_all_folds=False,
    )  # fmt: skip
    untouched = Rung("untouched", "", Interval(0, 0, 0, 0), np.zeros(0), np.zeros(0), 0.0)
    replaced: Any = SimpleNamespace(bases=[None], seconds_per_output=0.0, rung=untouched)
    selected: Any = SimpleNamespace(problem=None)
    return tune_fold(context, selected, replaced, depth, 0, 1, 1), looked


def test_the_share_that_loses_least_is_taken_and_no_more_are_tried_than_that_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for best, looked, share in ((1.2, [0.75], 1.0), (0.8, [0.75, 0.5], 0.75), (0.4, [0.75, 0.5], 0.5)):
        fold, found = tuned(monkeypatch, best)
        assert found == looked  # the whole way is known from the last epoch
        assert best_share([fold])[0] == share


def test_a_whole_network_that_writes_goes_all_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    fold, looked = tuned(monkeypatch, 0.8, depth=ALL, decision_rows=400)
    assert looked == [] and best_share([fold])[0] == 1.0
    assert best_share([tuned(monkeypatch, 0.8, depth=ALL)[0]])[0] == 0.75  # where classes are the targets
    assert best_share([tuned(monkeypatch, 0.8, decision_rows=400)[0]])[0] == 0.75  # a decoder on cached states


def test_heads_that_are_fitted_anew_are_fitted_at_every_share(monkeypatch: pytest.MonkeyPatch) -> None:
    fold, looked = tuned(monkeypatch, 1.2, contrast=1.0)
    assert looked == [1.0, 0.75, 0.5] and list(fold.refitted) == [1.0, 0.75, 0.5]


def test_folds_are_compared_at_shares_that_all_came_to(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = tuned(monkeypatch, 0.4)[0], tuned(monkeypatch, 1.2)[0]
    share, losses = best_share([near, far])
    assert share == 0.75 and list(losses) == ["1.0", "0.75"]
    assert losses["0.75"] == pytest.approx((0.35**2 + 0.45**2) / 2)


@pytest.mark.parametrize(
    ("depth", "decision_rows", "searches", "last"),
    [(ALL, 200, True, True), (BLOCK, 200, True, False), (ALL, None, False, False), (ALL, 200, False, False)],
    ids=["whole decoder", "decoder on cached states", "classes", "new layer over frames"],
)
def test_the_last_epoch_counts_where_a_whole_decoder_is_taught(
    depth: Depth, decision_rows: int | None, searches: bool, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    watches: list[Watch] = []

    def trained(module: Any, *rest: Any) -> Trained:
        watches.append(rest[-1])
        return Trained(module)

    monkeypatch.setattr(fold_stage, "train", trained)
    monkeypatch.setattr(fold_stage, "recipe_of", lambda *a: Recipe(1e-3, 1e-3, 8, 1))
    monkeypatch.setattr(fold_stage, "step_loss", lambda *a: None)
    monkeypatch.setattr(fold_stage, "lengths", lambda *a: None)
    context: Any = SimpleNamespace(
        task=SimpleNamespace(head=None, decision_rows=decision_rows), reporter=Silent(),
        run=SimpleNamespace(log=lambda *a, **k: None),
    )  # fmt: skip
    selected: Any = SimpleNamespace(problem=SimpleNamespace(backbone=SimpleNamespace(searches=searches)))
    train_with_progress(context, selected, Tunable(depth.cut), depth, np.arange(9), np.arange(3), "", 0, 1)
    assert [watch.takes_last for watch in watches] == [last]
