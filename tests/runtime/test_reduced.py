"""The 16-bit engine answers as the exact one does, but for rounding, or is told to be of no use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from headstart.runtime import openvino as openvino_engine
from headstart.runtime import reduced
from headstart.runtime.choose import choose_engine
from headstart.runtime.engine import Engine

BATCH = {"x": np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)}


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.layers(x),)


def network() -> nn.Module:
    return Network().eval()


def exact(kept: Path, engine: str = "openvino") -> Engine:
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}}
    return choose_engine(network(), BATCH, ("x",), shapes, lambda message: None, engine, kept)


@pytest.mark.skipif(not openvino_engine.has_bfloat16(), reason="this processor has no bfloat16 arithmetic")
def test_bfloat16_differs_by_rounding_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced, "LEAST_GAIN", 0.0)
    engine = exact(tmp_path / "net")
    made = reduced.reduced_engine(engine, network(), BATCH, ("x",), tmp_path / "net")
    assert isinstance(made, Engine)
    assert made.precision == "bf16"
    assert made.key != engine.key
    ours, theirs = made.run(BATCH)[0], engine.run(BATCH)[0]
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    assert 1e-6 < error < 0.03


def test_what_gains_too_little_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: True)
    monkeypatch.setattr(reduced, "LEAST_GAIN", 1e9)
    told = reduced.reduced_engine(exact(tmp_path / "net"), network(), BATCH, ("x",), tmp_path / "net")
    assert isinstance(told, str)
    assert "times the speed of f32" in told


def test_a_machine_without_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: False)
    engine = exact(tmp_path / "net")
    assert "no bfloat16" in str(reduced.reduced_engine(engine, network(), BATCH, ("x",), tmp_path / "net"))
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: True)
    assert "not kept" in str(reduced.reduced_engine(engine, network(), BATCH, ("x",), tmp_path / "other"))
    if not torch.cuda.is_available():
        on_torch = exact(tmp_path / "torch", "torch")
        assert "no faster in 16 bits" in str(reduced.reduced_engine(on_torch, network(), BATCH, ("x",), tmp_path))
