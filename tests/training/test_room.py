"""A training step that would not fit the memory ends before it does, and says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Recipe
from headstart.training import loop, room
from headstart.training.loop import Trained, train
from headstart.training.room import COPIES, PEAK, NoRoom, Room

WIDTH, ROWS = 32, 8
LENGTHS = np.array([4, 4, 4, 4, 9, 9, 9, 9], dtype=np.int64)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.second(torch.tanh(self.first(x)))
        return found


TRAINED = COPIES * 4 * (WIDTH * WIDTH + WIDTH + WIDTH + 1)


def kept(rows: int, squared: bool = False) -> int:
    """Bytes of what the way back needs: the input, and what tanh gave, which both layers share; of the square, its
    argument.
    """
    return 4 * rows * (2 * WIDTH + squared)


def test_what_a_pass_keeps_is_counted_once_and_weights_are_not() -> None:
    module, x = _Net(), torch.zeros(ROWS, WIDTH)
    with Room(module, lambda: TRAINED + PEAK * kept(ROWS) + 1).watched(ROWS):
        module(x).sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    with (
        pytest.raises(NoRoom, match=r"a step of 8 examples takes more than the 0\.0 GB of memory to spare"),
        Room(module, lambda: TRAINED + PEAK * kept(ROWS) - 1).watched(ROWS),
    ):
        module(x)


def trained_with(free: float, monkeypatch: pytest.MonkeyPatch) -> Trained:
    def loss(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        found: torch.Tensor = module(torch.zeros(int(LENGTHS[rows].max()), WIDTH)).square().mean()
        return found

    monkeypatch.setattr(loop, "Room", lambda module: Room(module, lambda: TRAINED + free))
    recipe = Recipe(learning_rate=1e-2, head_learning_rate=1e-2, batch_size=4, max_epochs=2)
    return train(_Net(), np.arange(8), loss, recipe, 2, 0, LENGTHS)


def test_training_ends_before_a_batch_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained_with(PEAK * kept(9, True) + 1, monkeypatch).stopped == ""
    cut = trained_with(PEAK * kept(9, True) - 1, monkeypatch)
    assert cut.stopped.startswith("a step of 4 examples takes more") and cut.steps < 2
    none = trained_with(PEAK * kept(4, True) - 1, monkeypatch)
    assert none.steps == 0 and none.curve == []


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: SimpleNamespace(available=90e9, total=100e9))
    assert room.free_bytes() == pytest.approx(80e9)
    for name, content in (("max", "max"), ("current", "3000"), ("stat", "anon 5\ninactive_file 1000\n")):
        (tmp_path / f"memory.{name}").write_text(content)
    assert room.free_bytes() == pytest.approx(80e9)
    (tmp_path / "memory.max").write_text("10000\n")
    assert room.free_bytes() == pytest.approx(10000 - 3000 + 1000 - 1000)
