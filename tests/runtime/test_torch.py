"""On a GPU lower precision is used only where the answers stay within the tolerance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from headstart.runtime import torch as torch_engine
from headstart.runtime.choose import choose_engine
from headstart.runtime.engine import Batch, Engine, Run
from headstart.runtime.timing import Timed

SAMPLE: Batch = {"x": np.random.default_rng(0).normal(size=(4, 256)).astype(np.float32)}


class _Linear(nn.Module):
    def __init__(self, exact_in_half: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(256, 8, bias=False)
        nn.init.zeros_(self.linear.weight) if exact_in_half else None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.linear(x),)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended GPU: torch's CPU under another name, where lower precision is faster."""
    monkeypatch.setattr(torch_engine, "device_name", lambda: "cuda")
    monkeypatch.setattr(torch_engine, "_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch_engine, "describe_device", lambda: "pretended GPU")
    seconds = iter((2.0, 1.0))

    def time_run(run: Run, batch: Batch, beat: float = 0.0) -> Timed:
        return Timed(next(seconds), run(batch))

    monkeypatch.setattr("headstart.runtime.candidates.time_run", time_run)


def choose(exact_in_half: bool) -> Engine:
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}}
    return choose_engine(_Linear(exact_in_half).eval(), SAMPLE, ("x",), shapes, print)


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "f16")])
@pytest.mark.usefixtures("gpu")
def test_lower_precision_is_used_where_it_is_faster_and_agrees(
    supported: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    engine = choose(exact_in_half=True)
    assert (engine.name, engine.setting, engine.precision) == ("torch", "contiguous autocast", precision)
    assert engine.key.endswith(f"-{precision}")  # features of another precision are other features
    assert engine.why.startswith("a GPU is present")
    assert engine.device == "pretended GPU"
    assert engine.run(SAMPLE)[0].dtype == np.float32


@pytest.mark.usefixtures("gpu")
def test_lower_precision_that_differs_is_not_used_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    engine = choose(exact_in_half=False)
    assert (engine.setting, engine.precision) == ("contiguous", "f32")
    assert "autocast in bf16 is not used: its answers differ" in engine.why
    expected = SAMPLE["x"] @ _Linear(False).linear.weight.detach().numpy().T
    np.testing.assert_allclose(engine.run(SAMPLE)[0], expected, rtol=1e-4, atol=1e-5)
