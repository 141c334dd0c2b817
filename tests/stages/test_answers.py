"""The saved model's answers: kept for files of the same content, and asked anew where anything differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import headstart
import tiny
from headstart.artifact import Saved
from headstart.settings import Settings
from headstart.stages import keep, scratch
from headstart.stages.answers import Answers, answer
from headstart.stages.control import _serves
from headstart.stages.control_plan import ControlSize
from headstart.types import Example, Silent
from stock_folder import driven

LOADER = """
import time
from driver import main

def predict(loaded, inputs, features=False):
    for value in inputs:
        with open(loaded + ".asked", "a") as stream:
            stream.write(value + "\\n")
        time.sleep(0.05 if value.startswith("slow") else 0)
        row = {"probabilities": {"longé": float(len(value) > 1), "short": float(len(value) == 1)}}
        yield {**row, "features": [float(len(value)), 0.1]} if features else row

if __name__ == "__main__":
    main(lambda: None, lambda folder: folder, predict)
"""
WORDS = ("golden", "bb", "a", "ccc", "dddd")
Ask = Callable[..., Answers]


@pytest.fixture
def paces() -> list[float]:
    """What was learnt of the stock loader's pace."""
    return []


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paces: list[float]) -> Ask:
    """Ask a saved model for the golden row and the others, with one cache."""
    stock, model = tmp_path / "stock", tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1, 2, 3")
    script = driven(stock, monkeypatch, LOADER)
    monkeypatch.setattr(keep, "_own_files", lambda: (stock / script).read_text())

    def run(
        words: tuple[str, ...] = WORDS,
        left: float = 100.0,
        features: bool = True,
        answer_s: float = 0.0,
        stock_rate: float = 1000.0,
    ) -> Answers:
        context: Any = SimpleNamespace(
            stock=None, close=lambda: None, reporter=Silent(), cache_dir=tmp_path / "cache",
            clock=SimpleNamespace(left=lambda: left), task=SimpleNamespace(uncertainty=features or None),
            dataset=SimpleNamespace(examples=tuple(Example(w, w, "short", w, f"digest of {w}") for w in words)),
            run=SimpleNamespace(log=lambda event, **facts: None, path=tmp_path / "run"), answer_s=answer_s,
            passes_per_test=2.0,
        )  # fmt: skip
        selected: Any = SimpleNamespace(
            exact_extractor=SimpleNamespace(note_stock_rate=paces.append, stock_rate=stock_rate)
        )
        saved = Saved(model, "native", script)
        return answer(context, selected, saved, np.array([0]), np.arange(1, len(words)))

    return run


def asked(tmp_path: Path) -> list[str]:
    """What the model was asked since the last call."""
    file = tmp_path / "model.asked"
    words = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return words


def test_the_same_files_are_asked_for_golden_rows_only(ask: Ask, tmp_path: Path) -> None:
    first = ask()
    assert asked(tmp_path) == list(WORDS) and not first.kept
    second = ask()
    assert asked(tmp_path) == ["golden"] and second.kept
    assert (second.golden, second.test) == (first.golden, first.test)
    assert [p.label for p in second.test] == ["longé", "short", "longé", "longé"]
    assert first.features is not None and second.features is not None
    np.testing.assert_array_equal(second.features, first.features)
    np.testing.assert_array_equal(second.features[:, 0], [2, 1, 3, 4])


def test_the_order_of_rows_does_not_matter(ask: Ask, tmp_path: Path) -> None:
    ask()
    asked(tmp_path)
    found = ask(("golden", "dddd", "a"))
    assert asked(tmp_path) == ["golden"]
    assert [p.id for p in found.test] == ["dddd", "a"] and found.features is not None
    np.testing.assert_array_equal(found.features[:, 0], [4, 1])


@pytest.mark.parametrize("change", ["weights", "new file", "loader", "library", "row", "damage"])
def test_whatever_differs_is_asked_anew(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    ask()
    asked(tmp_path)
    words = WORDS
    if change == "weights":
        (tmp_path / "model" / "weights").write_text("1, 2, 4")
    elif change == "new file":
        (tmp_path / "model" / "threshold.json").write_text("0.5")
    elif change == "loader":
        (tmp_path / "stock" / "loader.py").write_text(LOADER + "\n")
    elif change == "library":
        monkeypatch.setattr(keep, "version", lambda package: "99")
    elif change == "row":
        words = (*WORDS, "new")
    else:
        (shard,) = (tmp_path / "cache" / "features").glob("*/*.safetensors")
        content = bytearray(shard.read_bytes())
        content[-3] ^= 1
        shard.write_bytes(content)
    found = ask(words)
    assert asked(tmp_path) == list(words) and not found.kept


def test_an_answer_that_time_did_not_reach_is_asked_for_the_next_time(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.stages.answers.MIN_SCORED", 2)
    words = ("golden", *(f"slow{i}" for i in range(40)))
    cut = ask(words, left=1.0)
    assert 2 <= len(cut.test) < 40
    asked(tmp_path)
    assert ask(words[: 1 + len(cut.test)]).kept and asked(tmp_path) == ["golden"]
    whole = ask(words)
    assert len(whole.test) == 40 and not whole.kept


def test_many_answers_tell_the_stock_loaders_pace(ask: Ask, paces: list[float]) -> None:
    words = tuple(f"slow{i}" for i in range(60))
    ask(words, answer_s=0.1)  # here the pace is not that of the network's passes
    ask(WORDS)
    assert paces == []  # five answers, and what they took is mostly Python's start
    ask(tuple(f"slow number {i}" for i in range(60)))
    assert len(paces) == 1 and 10 < paces[0] < 40.5  # two passes for each, which takes 50 ms or more


def test_a_pace_that_was_taken_for_slower_is_mended_by_few_answers(ask: Ask, paces: list[float]) -> None:
    ask(stock_rate=0.001)
    assert len(paces) == 1 and paces[0] > 0.1


def test_no_room_for_answers_is_no_fault(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    for _ in range(2):
        assert len(ask(features=False).test) == 4 and asked(tmp_path) == list(WORDS)


@pytest.mark.slow
def test_a_second_fit_that_saves_the_same_model_scores_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    given, data = tiny.image_data(tmp_path / "given", per_class=40), tmp_path / "photos"
    for number, file in enumerate(sorted(given.glob("*/*.png"))):
        target = data / ("test" if number % 4 == 0 else "train") / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    model = tiny.image_model(tmp_path / "model")
    settings: dict[str, Any] = {
        "model": str(model),
        "depth": "head",
        "budget": "200s",
        "offline": True,
        "engine": "torch",
    }
    monkeypatch.setattr(scratch, "MIN_STEPS", 0)  # on a busy machine too
    first = headstart.fit(data, out=tmp_path / "first", **settings)
    with monkeypatch.context() as patch:
        patch.setattr("headstart.tasks.naive_features.pixel_statistics", lambda path: 1 / 0)  # not computed again
        second = headstart.fit(data, out=tmp_path / "second", **settings)
    assert "an earlier run saved the same files" in second.details["headline_note"]
    assert "an earlier run" not in first.details["headline_note"]
    assert second.details["metrics"] == first.details["metrics"]
    told = [(tmp_path / name / "predictions.jsonl").read_text() for name in ("first", "second")]
    assert told[0] == told[1]
    log = (tmp_path / "second" / "log.jsonl").read_text()
    assert '"kept": 20' in log and '"asked": 8' in log
    assert second.details["evidence"]["naive"] == first.details["evidence"]["naive"]
    # nor are the controls
    assert '"event": "control kept"' in log
    assert second.details["evidence"]["control"] == first.details["evidence"]["control"]
    assert second.details["label_curve"] == first.details["label_curve"]
    ours, kept = first.details["scratch"], second.details["scratch"]
    assert kept["kept"] and not ours["kept"]
    assert (kept["points"], kept["rows"]) == (ours["points"], ours["rows"])
    assert "of training in an earlier run" in kept["sentence"]
    # another label is another data set
    moved = next((data / "train").glob("*/*.png"))
    other = next(folder for folder in (data / "train").iterdir() if folder != moved.parent)
    moved.rename(other / f"moved-{moved.name}")
    third = headstart.fit(data, out=tmp_path / "third", **settings)
    assert '"event": "control kept"' not in (tmp_path / "third" / "log.jsonl").read_text()
    assert not third.details["scratch"]["kept"]


def test_a_kept_control_serves_where_it_had_no_less_time_and_a_replayed_plan_where_it_is_the_same() -> None:
    content = {"size": asdict(ControlSize(80, 40, 9.0, "torch")), "budget": 60.0}
    for budget, serves in ((30.0, True), (60.0, True), (61.0, False)):
        anew: Any = SimpleNamespace(settings=Settings("data"), clock=SimpleNamespace(budget_seconds=budget))
        assert _serves(anew, content, None) == serves
        assert _serves(anew, content, ControlSize(226, 80, 2.0, "openvino")) == serves
    again: Any = SimpleNamespace(settings=Settings("data", plan="plan.json"))
    assert _serves(again, content, ControlSize(80, 40, 2.0, "torch"))
    assert not _serves(again, content, ControlSize(80, 30, 2.0, "torch"))
    assert not _serves(again, content, None)
