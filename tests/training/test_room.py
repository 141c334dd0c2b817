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
from headstart.training.gradients import Gradients
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
    """A step takes as much as the longest of its rows, however many there are: parts are no help."""

    def loss(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        found: torch.Tensor = module(torch.zeros(int(LENGTHS[rows].max()), WIDTH)).square().mean()
        return found

    monkeypatch.setattr(loop, "Room", lambda module: Room(module, lambda: TRAINED + free))
    recipe = Recipe(learning_rate=1e-2, head_learning_rate=1e-2, batch_size=4, max_epochs=2)
    return train(_Net(), np.arange(8), loss, recipe, 2, 0, LENGTHS)


def trained_by_rows(free: float, monkeypatch: pytest.MonkeyPatch, contrast: float = 0.0) -> Trained:
    """Rows of as many numbers; dropout and what the step draws are the same whatever the memory."""
    x = torch.randn(ROWS + 1, WIDTH, generator=torch.Generator().manual_seed(0))

    def loss(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        found: torch.Tensor = module(x[rows] + rng.normal()).square().mean()
        return found

    torch.manual_seed(0)
    monkeypatch.setattr(loop, "Room", lambda module: Room(module, lambda: TRAINED + free))
    recipe = Recipe(learning_rate=1e-2, head_learning_rate=1e-2, batch_size=ROWS, max_epochs=1, contrast=contrast)
    return train(_Net(), np.arange(ROWS), loss, recipe, 1, 0)


def test_training_ends_before_a_batch_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained_with(PEAK * kept(9, True) + 1, monkeypatch).stopped == ""
    cut = trained_with(PEAK * kept(9, True) - 1, monkeypatch)
    assert cut.stopped.startswith("a step of 2 examples takes more") and cut.steps < 2
    none = trained_with(PEAK * kept(4, True) - 1, monkeypatch)
    assert none.steps == 0 and none.curve == []


def test_a_batch_is_computed_in_parts_where_all_of_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained_by_rows(PEAK * kept(ROWS, True) + 1, monkeypatch)
    assert (whole.parts, whole.steps) == (1, 1)
    halves = trained_by_rows(PEAK * kept(ROWS, True) - 1, monkeypatch)
    assert (halves.parts, halves.steps, halves.stopped) == (2, 1, "")
    assert trained_by_rows(PEAK * kept(ROWS // 2, True) - 1, monkeypatch).parts == 4
    too_little = trained_by_rows(PEAK * kept(2, True) - 1, monkeypatch)
    assert too_little.stopped.startswith("a step of 2 examples takes more") and too_little.steps == 0
    # examples that are compared with each other stay together
    assert trained_by_rows(PEAK * kept(ROWS, True) - 1, monkeypatch, contrast=1.0).steps == 0


def test_parts_give_the_batch_s_gradients_and_draw_anew_as_if_nothing_had_been_tried() -> None:
    x = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))
    drawn: list[float] = []

    def loss(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        drawn.append(rng.normal() + float(torch.rand(())))
        found: torch.Tensor = module(x[rows]).square().mean()
        return found

    found = {}
    for rows in (ROWS, 2):  # that there is room for
        torch.manual_seed(0)
        module = _Net()
        room_for = Room(module, lambda rows=rows: TRAINED + PEAK * kept(rows, True) + 1)  # type: ignore[misc]
        gradients = Gradients(module, loss, room_for, splits=True)
        value = gradients.of(np.arange(ROWS), 0, np.random.default_rng(0))
        found[rows] = value, [p.grad for p in module.parameters()]
    assert found[2][0] == pytest.approx(found[ROWS][0], rel=1e-5)
    for a, b in zip(found[2][1], found[ROWS][1]):
        torch.testing.assert_close(a, b)
    assert drawn[0] == drawn[1] == drawn[2] == drawn[3] != drawn[4]  # whole; whole, in halves, in quarters


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: SimpleNamespace(available=90e9, total=100e9))
    assert room.free_bytes() == pytest.approx(80e9)
    for name, content in (("max", "max"), ("current", "3000"), ("stat", "anon 5\ninactive_file 1000\n")):
        (tmp_path / f"memory.{name}").write_text(content)
    assert room.free_bytes() == pytest.approx(80e9)
    (tmp_path / "memory.max").write_text("10000\n")
    assert room.free_bytes() == pytest.approx(10000 - 3000 + 1000 - 1000)
