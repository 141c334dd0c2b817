"""An engine is used only where it agrees with torch; every fallback is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.errors import SettingError
from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.choose import choose_engine
from headstart.runtime.engine import Batch, Engine

SAMPLE: Batch = {"x": np.random.default_rng(0).normal(size=(4, 3, 16, 16)).astype(np.float32)}


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.nn.functional.gelu(self.conv(x))
        return state, state.mean((2, 3))


def choose(wanted: str = "auto", kept: Path | None = None, say: Callable[[str], None] = lambda message: None) -> Engine:
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}}
    return choose_engine(_Small().eval(), SAMPLE, ("x",), shapes, say, wanted, kept)


def assert_equals_torch(engine: Engine) -> None:
    batch = {"x": np.concatenate([SAMPLE["x"], SAMPLE["x"][:3]])}  # another batch size than the sample's
    expected = torch_engine.compile_torch(_Small(), ("x",))(batch)
    for ours, theirs in zip(engine.run(batch), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def refuse(*args: Any) -> Any:
    raise RuntimeError("op is not known")


def test_openvino_gives_torch_s_answers() -> None:
    engine = choose("openvino")
    assert engine.name == "openvino"
    assert engine.examples_per_second > 0
    assert_equals_torch(engine)


@pytest.mark.parametrize("openvino_is_faster", [True, False])
def test_the_faster_engine_is_chosen(openvino_is_faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((2.0, 1.0) if openvino_is_faster else (1.0, 2.0))  # torch is timed first
    monkeypatch.setattr("headstart.runtime.choose._time", lambda run, sample: next(seconds))
    monkeypatch.setattr(torch_engine, "device_name", lambda: "cpu")
    engine = choose("auto")
    assert engine.name == ("openvino" if openvino_is_faster else "torch")
    assert engine.examples_per_second == 4.0
    assert engine.why
    assert_equals_torch(engine)


def test_a_network_that_cannot_be_converted_runs_on_torch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "compile_openvino", refuse)
    monkeypatch.setattr(torch_engine, "device_name", lambda: "cpu")
    said: list[str] = []
    engine = choose("auto", say=said.append)
    assert engine.name == "torch"
    assert len(said) == 1
    assert "OpenVINO is not used" in said[0]
    assert "op is not known" in said[0]
    assert "op is not known" in engine.why
    assert_equals_torch(engine)


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_wrong_answers_are_not_used(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    right = openvino_engine.compile_openvino

    def wrong(*args: Any) -> Any:
        run = right(*args)
        return lambda batch: [run(batch)[0], run(batch)[1] * np.float32(factor)]

    monkeypatch.setattr(openvino_engine, "compile_openvino", wrong)
    monkeypatch.setattr(torch_engine, "device_name", lambda: "cpu")
    said: list[str] = []
    engine = choose("auto", say=said.append)
    assert engine.name == "torch"
    assert "answers differ" in said[0]
    assert_equals_torch(engine)


@pytest.mark.parametrize("fault", ["convert", "missing"])
def test_an_engine_asked_for_by_name_is_used_or_refused(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "convert":
        monkeypatch.setattr(openvino_engine, "compile_openvino", refuse)
    else:
        monkeypatch.setattr(openvino_engine, "version", lambda: None)
    with pytest.raises(SettingError, match=r"engine openvino cannot be used here.*--engine torch"):
        choose("openvino")
    assert choose("torch").name == "torch"


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(SettingError, match="choose one of auto, openvino, torch"):
        choose("tensorrt")


def test_a_converted_network_is_kept_for_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "engines" / "network"
    choose("openvino", kept)
    assert sorted(p.name for p in kept.parent.iterdir()) == ["network.bin", "network.sha256", "network.xml"]
    monkeypatch.setattr(openvino_engine, "_convert", refuse)
    assert_equals_torch(choose("openvino", kept))


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    file.write_bytes(bytes(255 - b for b in file.read_bytes()))


@pytest.mark.parametrize(("ending", "damage"), [
    (".xml", lambda file: file.write_text("not a network")),
    (".xml", cut_short),
    (".bin", cut_short),
    (".bin", lambda file: file.unlink()),
    (".bin", flip),
], ids=["xml overwritten", "xml cut short", "bin cut short", "bin missing", "bin flipped"])  # fmt: skip
def test_a_damaged_kept_network_is_converted_again(ending: str, damage: Callable[[Path], Any], tmp_path: Path) -> None:
    kept = tmp_path / "network"
    choose("openvino", kept)
    whole = kept.with_suffix(".bin").read_bytes()
    damage(kept.with_suffix(ending))
    assert_equals_torch(choose("openvino", kept))
    assert kept.with_suffix(".bin").read_bytes() == whole  # the damaged file was replaced
