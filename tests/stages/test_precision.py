"""16-bit features are used where held-out scores do not move, and never where they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import headstart
import tiny
from headstart.features import Extractor
from headstart.plan import Plan
from headstart.stages import precision
from headstart.stages.precision import _Check
from headstart.types import Interval

pytestmark = pytest.mark.slow  # whole fits, one after another

Change = Callable[[np.ndarray], np.ndarray]


GAIN = 2.0


def coarser(change: Change) -> Callable[..., Extractor]:
    """An extractor whose answers are changed that way, and kept in float16."""

    def reduced(exact: Extractor, sample: Any) -> Extractor:
        def run(batch: Any) -> list[np.ndarray]:
            return [change(out) for out in exact.engine.run(batch)]

        rate = GAIN * exact.engine.examples_per_second
        engine = replace(exact.engine, run=run, lanes=(run,), precision="bf16", examples_per_second=rate)
        return replace(exact, engine=engine, dtype="float16", hits=0, misses=0, seconds=0.0, stores={})

    return reduced


def rounded(values: np.ndarray) -> np.ndarray:
    """To the 11 bits that float16 keeps."""
    return values.astype(np.float16).astype(np.float32)


def noisy(values: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(len(values)).normal(size=values.shape)
    return (values + 3 * values.std() * noise).astype(np.float32)


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(precision, "WORTH_S", 0.0)
    monkeypatch.setattr(precision, "CHECK_SHARE", 1e9)  # so that this machine's pace decides nothing
    data, model = tiny.image_data(tmp_path / "data", 40), tiny.image_model(tmp_path / "model")

    def run(name: str, change: Change, **settings: Any) -> dict[str, Any]:
        monkeypatch.setattr(precision, "reduced_extractor", coarser(change))
        given = {"model": str(model), "budget": "200s", "depth": "head", "offline": True, "engine": "torch"}
        headstart.fit(data, out=str(tmp_path / name), **{**given, **settings})
        result: dict[str, Any] = json.loads((tmp_path / name / "result.json").read_text())
        return result

    return run


def planned(tmp_path: Path, name: str) -> str:
    return str(json.loads((tmp_path / name / "plan.json").read_text())["precision"])


def test_rounding_is_used_and_the_saved_model_still_agrees_in_float32(
    tmp_path: Path, fit: Callable[..., dict[str, Any]]
) -> None:
    result = fit("first", rounded)
    assert (result["engine"]["precision"], planned(tmp_path, "first")) == ("bf16", "16-bit")
    assert "held-out score" in result["engine"]["precision_check"]
    assert headstart.load(tmp_path / "first").predict(tmp_path / "data" / "left" / "001.png")[0] in ("left", "right")
    # the check is kept, so that the same fit again computes nothing
    again = fit("again", rounded)
    assert again["cache"]["misses"] == 0
    assert again["metrics"] == result["metrics"]
    replayed = fit("replayed", rounded, plan=str(tmp_path / "first" / "plan.json"))
    assert replayed["metrics"] == result["metrics"]


def test_what_moves_the_score_is_not_used(tmp_path: Path, fit: Callable[..., dict[str, Any]]) -> None:
    result = fit("run", noisy)
    assert (result["engine"]["precision"], planned(tmp_path, "run")) == ("f32", "f32")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    told = next(line for line in log if line["event"] == "precision")
    assert told["chosen"] == "f32"
    assert told["kept"]["high"] > 0.01 * told["score"]


def test_a_tuned_network_learns_from_16_bit_states(fit: Callable[..., dict[str, Any]]) -> None:
    result = fit("run", rounded, depth="block")
    assert (result["engine"]["precision"], result["depth"]["chosen"]) == ("bf16", "block")


def test_where_little_is_left_to_extract_nothing_is_checked(
    tmp_path: Path, fit: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "WORTH_S", 1e6)
    assert fit("run", rounded)["engine"]["precision"] == "f32"


def test_a_check_that_costs_more_than_it_may_save_is_left_out(
    tmp_path: Path, fit: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "CHECK_SHARE", 0.0)
    assert (fit("run", rounded)["engine"]["precision"], planned(tmp_path, "run")) == ("f32", "f32")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    told = next(line for line in log if line["event"] == "precision")
    assert "would cost more than 0% of what 16 bits would save" in told["why"]
    asked = json.loads((tmp_path / "run" / "plan.json").read_text()) | {"precision": "16-bit"}
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    assert fit("asked", rounded, plan=str(tmp_path / "asked.json"))["engine"]["precision"] == "bf16"


def affordable(
    monkeypatch: pytest.MonkeyPatch, rate: float, left_s: float, cached: int, network_rate: float
) -> np.ndarray:
    """The rows to check on, of a thousand of which the first ones are cached; 16 bits double the network's rate."""
    dev = np.arange(1000)
    monkeypatch.setattr(precision, "are_missing", lambda *a: dev >= cached)
    monkeypatch.setattr(precision, "_predicted_seconds", lambda *a: 1000 / rate)
    context: Any = SimpleNamespace(
        split=SimpleNamespace(dev=dev), clock=SimpleNamespace(left=lambda: left_s), plan=Plan()
    )
    engine, reduced = (SimpleNamespace(examples_per_second=times * network_rate) for times in (1, 2))
    selected: Any = SimpleNamespace(extractor=SimpleNamespace(rate=rate, speedup=1.0, engine=engine))
    sixteen: Any = SimpleNamespace(engine=reduced)
    return precision._affordable_rows(context, selected, sixteen)


@pytest.mark.parametrize(
    ("rate", "left_s", "cached", "wanted"),
    [
        (10.0, 50.0, 0, 83),  # 100 s in float32, of which 50 are left; 25 saved, half of it for 0.15 s a row
        (10.0, 1000.0, 0, 166),
        (10.0, 50.0, 400, 250),  # these need the second pass alone
        (10.0, 50.0, 96, 147),  # and what is left pays for 51 others
        (1000.0, 1000.0, 1000, 384),
    ],
)
def test_the_check_takes_as_many_rows_as_pay(
    monkeypatch: pytest.MonkeyPatch, rate: float, left_s: float, cached: int, wanted: int
) -> None:
    rows = affordable(monkeypatch, rate, left_s, cached, network_rate=rate)
    assert len(rows) == wanted and (rows < cached).sum() == min(wanted, cached)


def test_where_decoding_takes_the_time_little_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    # an eighth is saved, half of 12.5 s pays for passes of 0.1 and 0.0875 s
    assert len(affordable(monkeypatch, 10.0, 1000.0, 0, network_rate=40.0)) == 33


def test_what_few_rows_have_told_does_not_bind_a_longer_run(
    tmp_path: Path, fit: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most, told in (("short", 20, 20), ("long", 40, 40), ("short again", 20, 40)):
        monkeypatch.setattr(precision, "PROBE_ROWS", most)
        monkeypatch.setattr(precision, "FEWEST_ROWS", 20)
        assert fit(name, rounded)["engine"]["precision"] == "bf16"
        log = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        assert next(line for line in log if line["event"] == "precision")["rows"] == told


def test_both_intervals_must_lie_within_what_is_tolerated() -> None:
    near, far = Interval(0.0, -0.003, 0.003, 9), Interval(0.002, -0.001, 0.005, 9)
    assert _Check(9, 0.4, near, near).is_harmless  # 1% of 0.4 is 0.004
    assert not _Check(9, 0.4, near, far).is_harmless
    assert not _Check(9, 0.4, far, near).is_harmless
    assert not _Check(9, 0.4, replace(near, low=-0.1), near).is_harmless  # better by chance is no agreement either
