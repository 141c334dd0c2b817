"""Weights go back where they came from; blends and distances are worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headstart.training.weights import blend, distance, restore, snapshot


def test_a_snapshot_is_a_copy_of_what_trains_and_restores_it() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    kept = snapshot(net)
    assert set(kept) == {"weight"}
    with torch.no_grad():
        net.weight.add_(1.0)
    assert not torch.equal(kept["weight"], net.weight)
    restore(net, {**kept, "of another module": torch.ones(1)})
    assert torch.equal(kept["weight"], net.weight)


def test_a_blend_lies_on_the_line() -> None:
    start, end = {"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([8.0, 0.0])}
    assert blend(start, end, 0.25)["w"].tolist() == [2.0, 3.0]
    assert torch.equal(blend(start, end, 1.0)["w"], end["w"])


def test_distance_is_relative_to_the_size_of_the_start() -> None:
    start, end = (
        {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])},
        {"a": torch.tensor([3.0]), "b": torch.tensor([5.0])},
    )
    assert distance(start, end) == pytest.approx(1 / 5)
    assert distance(start, start) == 0.0
