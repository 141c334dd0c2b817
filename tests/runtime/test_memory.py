"""A choice is measured once for a network, a machine and the sizes of its inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.runtime import choose as choose_module
from headstart.runtime import memory
from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.candidates import Candidate, Job
from headstart.runtime.choose import choose_engine
from headstart.runtime.engine import Batch, Engine
from headstart.runtime.memory import recall_torch_share, remember_torch_share

SAMPLE: Batch = {"x": np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)}


class _Double(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (2 * x,)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one whenever engines are measured against each other."""
    counted: list[str] = []
    measure = choose_module._measure

    def noted(job: Job, reference: Candidate, wanted: str) -> tuple[Candidate, memory.Choice]:
        counted.append("measured")
        return measure(job, reference, wanted)

    monkeypatch.setattr(choose_module, "_measure", noted)
    return counted


def choose(
    kept: Path, wanted: str = "auto", sample: Batch = SAMPLE, say: Callable[[str], None] = lambda message: None
) -> Engine:
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}}
    engine = choose_engine(_Double().eval(), sample, ("x",), shapes, say, wanted, kept)
    np.testing.assert_allclose(engine.run(SAMPLE)[0], 2 * SAMPLE["x"], rtol=1e-5)
    return engine


@pytest.mark.parametrize("wanted", ["auto", "openvino", "torch"])
def test_a_second_run_takes_what_the_first_one_measured(wanted: str, tmp_path: Path, compared: list[str]) -> None:
    first, second = choose(tmp_path / "network", wanted), choose(tmp_path / "network", wanted)
    assert compared == ["measured"]
    assert (first.name, first.setting, first.precision) == (second.name, second.setting, second.precision)
    assert not first.remembered
    assert second.remembered
    assert second.why == f"remembered from an earlier run: {first.why}"
    assert second.examples_per_second > 0
    assert (
        np.isnan(second.torch_examples_per_second)
        == np.isnan(first.torch_examples_per_second)
        == (wanted == "openvino")
    )


def test_what_a_long_pass_showed_of_torch_holds_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "engines" / "network"
    assert recall_torch_share(kept) is None
    remember_torch_share(kept, 0.4)
    assert recall_torch_share(kept) == 0.4
    monkeypatch.setattr(memory, "_cpu_name", lambda: "another")
    assert recall_torch_share(kept) is None
    (file,) = kept.parent.iterdir()
    file.write_text('{"share": ')
    assert recall_torch_share(kept) is None
    remember_torch_share(kept, 0.5)
    assert recall_torch_share(kept) == 0.5


def test_an_engine_asked_for_is_not_answered_from_the_memory_of_another(tmp_path: Path, compared: list[str]) -> None:
    for wanted in ("auto", "torch", "openvino"):
        engine = choose(tmp_path / "network", wanted)
        assert wanted in ("auto", engine.name)
    assert len(compared) == 3


@pytest.mark.parametrize(("owner", "name", "value"), [
    (memory, "_cpu_name", lambda: "another CPU"),
    (torch_engine, "describe_device", lambda: "another GPU"),
    (openvino_engine, "version", lambda: "1999.0"),
    (openvino_engine, "CONVERSION", 99),
    (torch, "__version__", "1.0"),
], ids=["cpu", "device", "openvino", "conversion", "torch"])  # fmt: skip
def test_on_another_machine_or_version_it_is_measured_anew(
    owner: Any, name: str, value: Any, tmp_path: Path, compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(tmp_path / "network")
    monkeypatch.setattr(owner, name, value)
    assert not choose(tmp_path / "network").remembered
    assert len(compared) == 2


def test_for_other_sizes_it_is_measured_anew(tmp_path: Path, compared: list[str]) -> None:
    choose(tmp_path / "network")
    choose(tmp_path / "network", sample={"x": SAMPLE["x"][:3]})
    assert len(compared) == 2


@pytest.mark.parametrize("damage", [
    lambda text: text[: len(text) // 2],
    lambda text: "[]",
    lambda text: text.replace('"setting"', '"other"'),
    lambda text: text.replace('"setting": "', '"setting": "un'),
    lambda text: json.dumps(json.loads(text) | {"choice": None}),
], ids=["cut short", "not a record", "other field", "unknown setting", "empty"])  # fmt: skip
def test_a_damaged_memory_is_said_and_measured_anew(
    damage: Callable[[str], str], tmp_path: Path, compared: list[str]
) -> None:
    choose(tmp_path / "network")
    file = tmp_path / "network-auto.json"
    whole = json.loads(file.read_text())
    file.write_text(damage(file.read_text()))
    said: list[str] = []
    assert not choose(tmp_path / "network", say=said.append).remembered
    assert len(said) == 1
    assert "cannot be read. Measuring again." in said[0]
    assert json.loads(file.read_text())["holds_for"] == whole["holds_for"]
    assert choose(tmp_path / "network").remembered


def test_without_the_network_it_was_measured_with_it_is_measured_anew(tmp_path: Path, compared: list[str]) -> None:
    choose(tmp_path / "network", "openvino")
    for file in tmp_path.glob("network-*.sha256"):
        file.write_text("digest of another network")
    assert not choose(tmp_path / "network", "openvino").remembered
    assert len(compared) == 2


def test_a_remembered_fallback_is_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise RuntimeError("op is not known")

    monkeypatch.setattr(openvino_engine, "convert", refuse)
    said: list[str] = []
    for _ in range(2):
        engine = choose(tmp_path / "network", say=said.append)
    assert engine.remembered
    assert "op is not known" in said[0]
    assert said[0] == said[1]
