"""The prefix runs once per example and view; what it gave is read back, row for row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Item, Prefix
from headstart.errors import ModelError
from headstart.features import POOLED, Extractor, extract, features_of, open_extractor
from headstart.runtime.engine import Batch, Engine
from headstart.types import Example, ModelSource, Silent

LENGTHS = (5, 2, 9, 2, 7, 1, 30)


class _Backbone:
    """An input "n" is a text of n tokens, all of value n (negative in the other view)."""

    key = "k"
    source = ModelSource("tiny", Path(), "timm", "tiny", "text", "", "", "local")
    views = ("plain", "negative")
    reads_targets = False
    batch_budget = 32
    features = ("mean",)

    def encode(self, example: Example, view: str) -> Item:
        n = int(example.input)
        return {"x": np.full(n, n if view == "plain" else -n, dtype=np.float32)}

    def length(self, item: Item) -> int:
        return len(item["x"])

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        padded = np.full((len(items), max(map(self.length, items))), np.nan, dtype=np.float32)
        for row, item in enumerate(items):
            padded[row, : self.length(item)] = item["x"]
        return {"x": padded}


@dataclass
class _Engine:
    """state: each token with its position, (B, T, 2); mean: (B, 1)."""

    calls: int = 0
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def run(self, batch: Batch) -> list[NDArray[np.float32]]:
        self.calls += 1
        x = np.asarray(batch["x"], dtype=np.float32)
        self.shapes.append(x.shape)
        places = np.broadcast_to(np.arange(x.shape[1], dtype=np.float32), x.shape)
        return [np.stack([x, places], -1), np.nanmean(x, 1, keepdims=True)]


class _Saying(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def extractor(folder: Path, parts: tuple[str, ...] = (POOLED, "cut")) -> tuple[Extractor, _Engine]:
    ragged = {"state": (0,), "mean": ()}
    prefix = Prefix(nn.Identity(), ("x",), ("state", "mean"), {"cut": ("state",)}, ragged, {})
    counted = _Engine()
    engine = Engine("torch", "1", "CPU", counted.run, "", 1.0, 1.0)
    backbone: Any = _Backbone()
    return Extractor(backbone, prefix, engine, folder, parts), counted


EXAMPLES = [Example(f"row {i}", str(n), None, "g", f"digest-{n}") for i, n in enumerate(LENGTHS)]
ROWS = np.arange(len(EXAMPLES))


def assert_right(opened: Extractor, view: str = "plain") -> None:
    sign = 1 if view == "plain" else -1
    features = features_of(opened, EXAMPLES, (view,))
    assert features.lengths(ROWS).tolist() == list(LENGTHS)
    assert features.pooled("mean", ROWS)[:, 0].tolist() == [sign * n for n in LENGTHS]
    for n, record in zip(LENGTHS, features.states(ROWS, "cut")):
        state = record["state"]
        assert state[:, 0].tolist() == [sign * n] * n
        assert state[:, 1].tolist() == list(range(n))
    assert features.pooled("mean", np.array([6, 0]))[:, 0].tolist() == [sign * 30, sign * 5]


def test_rows_keep_their_order_whatever_the_batches(tmp_path: Path) -> None:
    opened, engine = extractor(tmp_path)
    extract(opened, EXAMPLES, ("plain",), Silent())
    assert_right(opened)
    assert engine.calls > 1
    assert all(rows * longest <= 32 for rows, longest in engine.shapes)


def test_the_second_time_nothing_is_computed(tmp_path: Path) -> None:
    unique = len(set(LENGTHS))
    opened, engine = extractor(tmp_path)
    extract(opened, EXAMPLES, ("plain",), Silent())
    assert (opened.hits, opened.misses) == (0, unique)  # equal content is computed once
    calls = engine.calls
    extract(opened, EXAMPLES, ("plain",), Silent())
    assert (engine.calls, opened.hits) == (calls, unique)
    later, fresh_engine = extractor(tmp_path)  # another run on the same cache
    extract(later, EXAMPLES, ("plain",), Silent())
    assert (fresh_engine.calls, later.hits, later.misses) == (0, unique, 0)
    assert_right(later)


def test_only_new_examples_are_computed(tmp_path: Path) -> None:
    opened, engine = extractor(tmp_path)
    extract(opened, EXAMPLES[:3], ("plain",), Silent())
    engine.shapes.clear()
    extract(opened, EXAMPLES, ("plain",), Silent())
    assert sum(rows for rows, _ in engine.shapes) == 3  # lengths 7, 1 and 30
    assert_right(opened)


def test_views_are_kept_apart(tmp_path: Path) -> None:
    opened, _ = extractor(tmp_path)
    extract(opened, EXAMPLES, ("plain", "negative"), Silent())
    assert_right(opened, "plain")
    assert_right(opened, "negative")
    both = features_of(opened, EXAMPLES, ("plain", "negative"))
    assert both.pooled("mean", ROWS[:1])[0, 0] == 5
    drawn = both.states(ROWS[:2], "cut", ["negative", "plain"])  # one view for each row
    assert [record["state"][0, 0] for record in drawn] == [-5, 2]


@pytest.mark.parametrize("where", ["end", "header", "cut short"])
def test_a_damaged_shard_is_computed_again(where: str, tmp_path: Path) -> None:
    opened, _ = extractor(tmp_path)
    extract(opened, EXAMPLES, ("plain",), Silent())
    shard = max(tmp_path.rglob("*.safetensors"), key=lambda file: file.stat().st_size)  # that of the states
    content = bytearray(shard.read_bytes())
    content[-3 if where == "end" else 12] ^= 255
    shard.write_bytes(content[: len(content) // 2] if where == "cut short" else content)
    again, engine = extractor(tmp_path)
    reporter = _Saying()
    extract(again, EXAMPLES, ("plain",), reporter)
    assert again.misses == len(set(LENGTHS))
    assert engine.calls > 0
    assert len(reporter.said) == 1
    assert "damaged cache file" in reporter.said[0]
    assert_right(again)


def test_a_part_that_is_not_wanted_is_not_stored(tmp_path: Path) -> None:
    opened, _ = extractor(tmp_path, (POOLED,))
    extract(opened, EXAMPLES, ("plain",), Silent())
    features = features_of(opened, EXAMPLES, ("plain",))
    assert features.pooled("mean", ROWS)[:, 0].tolist() == list(LENGTHS)
    assert features.cuts == ()
    # what lacks a part is computed again; afterwards both are there, the pooled features once
    whole, engine = extractor(tmp_path)
    extract(whole, EXAMPLES, ("plain",), Silent())
    assert (whole.hits, engine.calls > 0) == (0, True)
    assert_right(whole)
    again, idle = extractor(tmp_path, (POOLED,))
    extract(again, EXAMPLES, ("plain",), Silent())
    assert (again.hits, idle.calls) == (len(set(LENGTHS)), 0)


def test_the_rate_is_for_inputs_of_mean_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timed on middling lengths; an engine that takes a second a token needs the mean length in seconds."""
    timed: list[tuple[int, ...]] = []

    def choose(module: Any, batch: Batch, *arguments: Any) -> Engine:
        timed.append(batch["x"].shape)
        return Engine("torch", "1", "CPU", _Engine().run, "", 1 / batch["x"].shape[1], 0.5 / batch["x"].shape[1])

    monkeypatch.setattr("headstart.features.choose_engine", choose)
    backbone: Any = _Backbone()
    backbone.prefix = lambda cuts: Prefix(nn.Identity(), ("x",), ("state", "mean"), {"cut": ("state",)}, {}, {})
    lengths = [4] * 30 + [2] * 20 + [30] * 8
    examples = [Example(str(i), str(n), None, "g", str(i)) for i, n in enumerate(lengths)]
    opened = open_extractor(backbone, examples, tmp_path, Silent())
    assert timed == [(8, 4)]
    assert opened.rate == pytest.approx(1 / np.mean(lengths))
    assert opened.stock_rate == pytest.approx(0.5 / np.mean(lengths))


def test_the_stock_loaders_rate_is_what_an_earlier_pass_of_it_showed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two were timed while the machine was busy: a twelfth is what torch was then taken to have."""
    names = ["torch"]
    monkeypatch.setattr(
        "headstart.features.choose_engine", lambda *_: Engine(names[-1], "1", "CPU", _Engine().run, "", 1.2, 0.1)
    )
    backbone: Any = _Backbone()
    backbone.prefix = lambda cuts: Prefix(nn.Identity(), ("x",), ("state", "mean"), {"cut": ("state",)}, {}, {})
    opened = open_extractor(backbone, EXAMPLES, tmp_path, Silent())
    opened.note_stock_rate(0.7 * opened.rate)  # torch itself: nothing to learn
    names.append("openvino")
    opened = open_extractor(backbone, EXAMPLES, tmp_path, Silent())
    assert opened.stock_rate == pytest.approx(opened.rate / 12)
    opened.note_stock_rate(0.5 * opened.rate)
    again = open_extractor(backbone, EXAMPLES, tmp_path, Silent())
    assert again.stock_rate == pytest.approx(0.5 * again.rate)


class _Doubling(nn.Module):
    """What torch computes of a batch: like the engine above, but finite where that is not."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.arange(x.shape[1], dtype=torch.float32).expand(x.shape)
        return torch.stack([x, places], -1), x.nanmean(1, keepdim=True)


def spoilt(opened: Extractor, counted: _Engine, length: int) -> None:
    """An engine that gives NaN for the first token of inputs of this length."""

    def run(batch: Batch) -> list[NDArray[np.float32]]:
        state, mean = counted.run(batch)
        state[np.asarray(batch["x"])[:, 0] == length, 0, 0] = np.nan
        return [state, mean]

    opened.engine = replace(opened.engine, name="openvino", run=run, lanes=(run,))


def test_what_is_not_finite_is_computed_by_torch_and_said_once(tmp_path: Path) -> None:
    opened, counted = extractor(tmp_path)
    opened.prefix = replace(opened.prefix, module=_Doubling())
    spoilt(opened, counted, 9)
    saying = _Saying()
    extract(opened, EXAMPLES, ("plain",), saying)
    assert_right(opened)
    assert opened.batches_by_torch == 1
    assert len([s for s in saying.said if "not finite" in s]) == 1
    assert "not finite" in opened.engine.why


def test_an_engine_that_computes_well_is_left_alone(tmp_path: Path) -> None:
    opened, counted = extractor(tmp_path)
    spoilt(opened, counted, 1000)
    extract(opened, EXAMPLES, ("plain",), Silent())
    assert (opened.batches_by_torch, opened.engine.why) == (0, "")


def test_values_that_torch_makes_no_better_are_refused(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.stack([x, x / 0 * 0], -1), x.nanmean(1, keepdim=True)

    opened, counted = extractor(tmp_path)
    opened.prefix = replace(opened.prefix, module=Broken())
    spoilt(opened, counted, 9)
    with pytest.raises(ModelError, match="row 2 into values that are not finite"):
        extract(opened, EXAMPLES, ("plain",), Silent())


def test_where_padding_is_seen_batches_hold_one_length(tmp_path: Path) -> None:
    opened, counted = extractor(tmp_path)
    opened.prefix = replace(opened.prefix, equal_lengths=True)
    extract(opened, EXAMPLES, ("plain",), Silent())
    assert_right(opened)
    assert counted.calls == len(set(LENGTHS))


def test_states_may_be_shorter_than_their_example(tmp_path: Path) -> None:
    """As frames of a recording are; here two tokens make one."""
    opened, _ = extractor(tmp_path)
    opened.prefix = replace(opened.prefix, shapes=lambda length: {"state": (-(-length // 2), 2)})
    extract(opened, EXAMPLES, ("plain",), Silent())
    states = features_of(opened, EXAMPLES, ("plain",)).states(ROWS, "cut")
    assert [record["state"].shape for record in states] == [(-(-n // 2), 2) for n in LENGTHS]
