"""The contrast between examples of few labels: its value, its gradient, when it is used."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from headstart.backbones.backbone import Depth, Recipe
from headstart.heads.classes import CONTRAST_TEMPERATURE, contrast
from headstart.stages.recipe import FEW, recipe_of


def test_the_value_is_that_of_the_formula_and_lengths_do_not_matter() -> None:
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 2, 1, 0])  # the fourth has no companion
    unit = rows / rows.norm(dim=1, keepdim=True)
    losses = []
    for i in range(6):
        companions = [j for j in range(6) if j != i and labels[j] == labels[i]]
        others = sum(math.exp(float(unit[i] @ unit[j]) / CONTRAST_TEMPERATURE) for j in range(6) if j != i)
        logs = [math.log(math.exp(float(unit[i] @ unit[j]) / CONTRAST_TEMPERATURE) / others) for j in companions]
        losses += [-sum(logs) / len(logs)] if logs else []
    assert float(contrast(rows, labels)) == pytest.approx(sum(losses) / 5, rel=1e-9)
    assert float(contrast(rows * 7, labels)) == pytest.approx(float(contrast(rows, labels)), rel=1e-9)


def test_steps_down_its_gradient_draw_a_class_together() -> None:
    rows = torch.randn(8, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels = torch.arange(8) % 2
    optimizer = torch.optim.SGD([rows], 1.0)
    for _ in range(60):
        optimizer.zero_grad()
        loss = contrast(rows, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        assert rows.grad is not None and torch.isfinite(rows.grad).all()
        optimizer.step()
    unit = torch.nn.functional.normalize(rows.detach(), dim=1)
    likeness = unit @ unit.T
    same = labels[:, None] == labels[None, :]
    assert float(likeness[same].min()) > float(likeness[~same].max())


def test_a_batch_without_companions_gives_zero_and_no_gradient() -> None:
    rows = torch.randn(3, 4, requires_grad=True)
    loss = contrast(rows, torch.arange(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0 and rows.grad is not None and not rows.grad.any()


@pytest.mark.parametrize(
    ("kind", "rows", "weight", "batch"),
    [("class", 5 * FEW, 1.0, 64), ("class", 5 * FEW + 1, 0.0, 32), ("labels", 10, 0.0, 32)],
)
def test_only_few_labels_of_one_class_each_are_contrasted(kind: str, rows: int, weight: float, batch: int) -> None:
    made = Recipe(learning_rate=1e-4, head_learning_rate=1e-3, batch_size=32, max_epochs=6, contrast=1.0)
    context: Any = SimpleNamespace(task=SimpleNamespace(target_kind=kind), split=SimpleNamespace(dev=np.arange(rows)))
    block, third = Depth("block", "last layer and head", "cut 2", 0.2), Depth("third", "last third", "cut 1", 0.4)
    backbone = SimpleNamespace(recipe=lambda depth: made, depths=(block, third))
    features = SimpleNamespace(cuts=("cut 1", "cut 2"))
    selected: Any = SimpleNamespace(problem=SimpleNamespace(backbone=backbone, features=features, n_classes=5))
    found = recipe_of(context, selected, block)
    assert (found.contrast, found.batch_size, found.comes_first) == (weight, batch, False)
    assert recipe_of(context, selected, third).comes_first == (weight > 0)
    features.cuts = ("cut 2",)  # where the disk does not hold the others
    assert recipe_of(context, selected, block).comes_first == (weight > 0)
