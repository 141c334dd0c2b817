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
from headstart.runtime import choose as choose_module
from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.candidates import Candidate, Job
from headstart.runtime.choose import choose_engine, same_again
from headstart.runtime.engine import Batch, Engine, Run
from headstart.runtime.limit import operations
from headstart.runtime.timing import Timed

SAMPLE: Batch = {"x": np.random.default_rng(0).normal(size=(4, 3, 16, 16)).astype(np.float32)}


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.nn.functional.gelu(self.conv(x))
        return state, state.mean((2, 3))


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.layer(x),)


def choose(
    wanted: str = "auto",
    kept: Path | None = None,
    say: Callable[[str], None] = lambda message: None,
    inputs: int | None = None,
) -> Engine:
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}}
    return choose_engine(_Small().eval(), SAMPLE, ("x",), shapes, say, wanted, kept, inputs)


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


def test_few_inputs_are_not_worth_a_conversion_and_that_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "network"
    engine = choose(kept=kept, inputs=3)
    assert (engine.name, engine.remembered) == ("torch", False)
    assert engine.why.startswith("3 inputs take about 0.0 s on torch: converting")
    assert engine.torch_examples_per_second == pytest.approx(engine.examples_per_second)
    assert_equals_torch(engine)
    assert not list(tmp_path.iterdir())
    again = choose("torch", kept, inputs=3)  # as a replayed plan asks
    assert (again.setting, again.why) == (engine.setting, "asked for")
    # more inputs, and an engine asked for by name, are measured; what was measured then serves few inputs as well
    monkeypatch.setattr(choose_module, "CONVERSION_S", 0.0)
    assert "times" in choose(kept=kept, inputs=3).why
    monkeypatch.undo()
    assert choose(kept=kept, inputs=3).remembered
    assert choose("openvino", inputs=3).name == "openvino"


@pytest.mark.parametrize(("share", "converts"), [(0.99, False), (0.3, True)])
def test_what_torch_runs_at_the_machine_s_own_rate_is_not_converted(
    share: float, converts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample: Batch = {"x": np.zeros((4, 16), dtype=np.float32)}
    monkeypatch.setattr(choose_module, "operations", lambda run, batch: (operations(run, batch)[0], 0.3))
    monkeypatch.setattr(choose_module, "matrix_product_rate", lambda: 2 * 4 * 16 * 16 / 0.3 / share)
    reference = Candidate("torch", "contiguous", "f32", torch_engine.compile_torch(_Layer(), ("x",)), Timed(0.4, []))
    monkeypatch.setattr(choose_module, "run_reference", lambda job: reference)
    measured: list[str] = []

    def measure(job: Job, reference: Candidate, wanted: str) -> Any:
        measured.append(wanted)
        raise SettingError("far enough")

    monkeypatch.setattr(choose_module, "_measure", measure)
    try:
        engine = choose_engine(_Layer(), sample, ("x",), {}, print, inputs=400, kept=Path("none"))
        assert "99% of the rate of large matrix products" in engine.why
    except SettingError:
        assert measured == ["auto"]
    assert bool(measured) == converts


def test_what_takes_long_is_timed_on_a_part_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def first(job: Job) -> Candidate:
        run = torch_engine.compile_torch(job.module, job.input_names)
        return Candidate("torch", "contiguous", "f32", run, Timed(4.0, run(job.sample)))

    def later(run: Run, batch: Batch, beat: float = 0.0) -> Timed:
        seen.append(len(batch["x"]))
        return Timed(0.5, run(batch))

    monkeypatch.setattr(choose_module, "run_reference", first)
    monkeypatch.setattr("headstart.runtime.candidates.time_run", later)
    engine = choose("auto")
    assert set(seen) == {2}  # of four
    assert engine.examples_per_second == 2 / 0.5
    assert_equals_torch(engine)


def timed_as(seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let each way to run take these seconds; returns the ways timed, as they are timed."""
    ways: dict[int, str] = {}
    order: list[str] = []
    to_torch, to_openvino = torch_engine.compile_torch, openvino_engine.compile_openvino

    def torch_way(module: nn.Module, names: Any, setting: str = "contiguous", precision: str = "f32") -> Run:
        run = to_torch(module, names, setting, precision)
        ways[id(run)] = f"torch {setting}"
        return run

    def openvino_way(network: Any, names: Any, streams: int = 1) -> Run:
        run = to_openvino(network, names, streams)
        ways[id(run)] = "openvino latency" if streams == 1 else f"openvino {streams} streams"
        return run

    def time_run(run: Run, batch: Batch, beat: float = 0.0) -> Timed:
        order.append(ways[id(run)])
        return Timed(seconds[ways[id(run)]], run(batch))

    monkeypatch.setattr(torch_engine, "compile_torch", torch_way)
    monkeypatch.setattr(openvino_engine, "compile_openvino", openvino_way)
    monkeypatch.setattr("headstart.runtime.candidates.time_run", time_run)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    return order


SECONDS = {"openvino latency": 2.0, "openvino 2 streams": 1.0, "torch contiguous": 4.0, "torch channels_last": 3.0}


@pytest.mark.parametrize("fastest", SECONDS)
def test_the_fastest_way_is_chosen(fastest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order = timed_as(SECONDS | {fastest: 0.5}, monkeypatch)
    engine = choose("auto")
    assert order == list(SECONDS)
    assert f"{engine.name} {engine.setting}" == fastest
    assert engine.examples_per_second == 4 / 0.5
    assert engine.torch_examples_per_second == 4 / (0.5 if fastest.startswith("torch") else 3.0)
    assert f"{fastest} 8" in engine.why
    assert_equals_torch(engine)


@pytest.mark.parametrize(("inputs", "slow"), [(3, "channels_last"), (10**6, "contiguous")])
def test_torch_in_the_setting_of_an_earlier_run_stays_that(
    inputs: int, slow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast another is, and whether or not a trial of others is worth its time; as a replayed plan asks."""
    timed_as(SECONDS | {f"torch {slow}": 50.0}, monkeypatch)
    engine = choose(f"torch {slow}", tmp_path / "network", inputs=inputs)
    assert (engine.name, engine.setting, engine.why) == ("torch", slow, "asked for")
    assert same_again(engine) == f"torch {slow}"
    assert not list(tmp_path.iterdir())  # nothing is remembered
    assert_equals_torch(engine)


def test_a_setting_that_torch_lacks_here_is_said_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    timed_as(SECONDS, monkeypatch)
    said: list[str] = []
    engine = choose("torch contiguous autocast", say=said.append)
    assert (engine.name, engine.setting) == ("torch", "channels_last")
    assert said == ["Torch cannot run as contiguous autocast here, which was asked for: its fastest setting is taken."]


def test_one_row_alone_runs_on_an_engine_of_several_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    timed_as(SECONDS, monkeypatch)
    engine = choose("openvino")
    one = {"x": SAMPLE["x"][:1]}
    np.testing.assert_allclose(engine.run(one)[0], engine.run(SAMPLE)[0][:1], rtol=1e-4, atol=1e-5)


def test_a_network_that_cannot_be_converted_runs_on_torch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "convert", refuse)
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


class _Flattened(nn.Module):
    """Reads its sizes in Python: (B, T) -> (B, T) with each row's mean taken away."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        flat = x.reshape(x.shape[0] * x.shape[1], 1)
        return ((flat.reshape(x.shape[0], x.shape[1]) - x.mean(1, keepdim=True)) * torch.arange(x.shape[1]),)


def exported(dims: dict[int, Any]) -> nn.Module:
    """Sizes are nodes of this graph, as in a cut network's."""
    module = torch.export.export(_Flattened(), (torch.randn(2, 5),), dynamic_shapes=(dims,)).module(check_guards=False)
    return torch.fx.GraphModule(module, module.graph)  # type: ignore[arg-type]


def test_the_answers_are_right_at_sizes_other_than_the_sample_s() -> None:
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("tokens", min=2, max=64)}
    sample = {"x": np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)}
    for network in (_Flattened().eval(), exported(dims)):
        engine = choose_engine(network, sample, ("x",), {"x": dims}, print, "openvino")
        for shape in ((1, 6), (3, 2), (7, 31)):
            x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
            expected = (x - x.mean(1, keepdims=True)) * np.arange(shape[1])
            np.testing.assert_allclose(engine.run({"x": x})[0], expected, rtol=1e-4, atol=1e-4)


def test_a_conversion_that_takes_a_size_for_a_constant_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.runtime.openvino.traceable", lambda module: module)  # sizes become constants
    routes: list[str] = []
    convert = openvino_engine.convert

    def noted(*args: Any) -> Any:
        routes.append(args[-1])
        return convert(*args)

    monkeypatch.setattr(openvino_engine, "convert", noted)
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("tokens", min=2, max=64)}
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    said: list[str] = []
    engine = choose_engine(exported(dims), {"x": x}, ("x",), {"x": dims}, said.append, "openvino")
    assert "fast conversion for OpenVINO is not used" in said[0]
    assert "fast conversion not used" in engine.why
    assert routes == ["traced", "exported"]
    expected = (x - x.mean(1, keepdims=True)) * np.arange(6)
    np.testing.assert_allclose(engine.run({"x": x})[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fault", ["convert", "missing"])
def test_an_engine_asked_for_by_name_is_used_or_refused(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "convert":
        monkeypatch.setattr(openvino_engine, "convert", refuse)
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
    names = [file(kept, ending).name for ending in (".bin", ".sha256", ".xml")]
    assert sorted(p.name for p in kept.parent.iterdir()) == [*names, "network-openvino.json"]
    monkeypatch.setattr(openvino_engine, "convert", refuse)
    assert_equals_torch(choose("openvino", kept))


def file(kept: Path, ending: str) -> Path:
    return kept.with_name(f"{kept.name}-{openvino_engine.CONVERSION}{ending}")


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
    whole = file(kept, ".bin").read_bytes()
    damage(file(kept, ending))
    said: list[str] = []
    assert_equals_torch(choose("openvino", kept, said.append))
    assert said == ["The converted network kept from an earlier run is damaged. Converting again."]
    assert file(kept, ".bin").read_bytes() == whole  # the damaged file was replaced
