"""Runs side by side: paired on shared rows, refused where they share none, with the differences between them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.compare_page import compare_runs, comparison_lines, write_comparison
from headstart.data.kept_split import HEADER
from headstart.errors import RunError


def made_run(folder: Path, right: np.ndarray, ids: range, **changes: Any) -> Path:
    """A finished run as far as comparisons read it; right: whether each of the rows `ids` was answered rightly."""
    folder.mkdir()
    rows = []
    for i, hit in zip(ids, right):
        target = "ab"[i % 2]
        label = target if hit else "ba"[i % 2]
        probabilities = {c: 0.8 if c == label else 0.2 for c in "ab"}
        rows.append({"input": f"row {i}", "label": label, "target": target, "probabilities": probabilities})
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / "split.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *[[f"row {i}", f"d{i}", f"d{i}", "test", ""] for i in ids]])
    value = float(np.mean(right))
    result = {
        "task": "text-classification", "headline_metric": "accuracy", "headline_split": "test",
        "metrics": {"test": {"accuracy": {"value": value, "low": value - 0.05, "high": value + 0.05, "n": len(ids)}}},
        "data": {"fingerprint": folder.name}, "model": {"id": "m"}, "depth": {"chosen": "head"}, "seconds": 42.3,
        "budget_seconds": 60, "test_exposures": 1, "created": "2026-01-02T03:04:05Z", "evidence": {"control": None},
        "settings": {"seed": 0, "depth": "auto", "out": str(folder)},
    } | changes  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """Two systems on 300 rows; the second is right on 30 more, wrong on 6 that the first got."""
    first = np.random.default_rng(0).random(300) < 0.7
    second = first.copy()
    second[np.flatnonzero(~first)[:30]] = True
    second[np.flatnonzero(first)[:6]] = False
    return first, second


def test_the_same_rows_are_paired(tmp_path: Path, answers: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = made_run(tmp_path / "a", answers[0], range(300)), made_run(tmp_path / "b", answers[1], range(300))
    found = compare_runs([b, a])["pairs"][0]["pairing"]
    assert found["rows"] == 300
    assert found["gain"]["value"] == pytest.approx(24 / 300)
    assert 0 < found["gain"]["low"] < 24 / 300 < found["gain"]["high"]
    assert compare_runs([a, b])["pairs"][0]["pairing"]["gain"]["value"] == pytest.approx(-24 / 300)


def test_fewer_word_errors_are_a_gain(tmp_path: Path) -> None:
    said = ["one two three four", "five six", "seven eight nine", "ten"]
    heard = {"a": ["one two tree for", "five six", "seven ate nine", "ten"], "b": [*said[:2], "seven ate nine", "ten"]}
    for name, texts in heard.items():
        run = made_run(tmp_path / name, np.ones(4, dtype=bool), range(4), task="speech-recognition",
                       headline_metric="wer",
                       metrics={"test": {"wer": {"value": 0.1, "low": 0.0, "high": 0.2, "n": 4}}})  # fmt: skip
        lines = [{"input": f"row {i}", "text": t, "target": s} for i, (t, s) in enumerate(zip(texts, said))]
        (run / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = compare_runs([tmp_path / "b", tmp_path / "a"])["pairs"][0]["pairing"]
    assert (found["metric"], found["before"]["value"], found["after"]["value"]) == ("wer", 0.3, 0.1)
    assert found["gain"]["value"] == pytest.approx(0.2)


def test_a_class_that_only_one_run_knows_has_no_probability_in_the_other(
    tmp_path: Path, answers: tuple[np.ndarray, np.ndarray]
) -> None:
    a, b = made_run(tmp_path / "a", answers[0], range(300)), made_run(tmp_path / "b", answers[1], range(300))
    lines = [json.loads(line) for line in (b / "predictions.jsonl").read_text().splitlines()]
    for line in lines[:10]:
        line |= {"target": "c", "label": "c", "probabilities": {"c": 0.9, "a": 0.1}}
    (b / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = compare_runs([b, a])["pairs"][0]["pairing"]
    assert found["corrected"] == 10
    assert found["before"]["value"] == pytest.approx(answers[0][10:].sum() / 300)  # wrong on the ten by the new labels
    assert found["old_labels"]["value"] == pytest.approx(answers[0].mean())


def test_only_shared_rows_count(tmp_path: Path, answers: tuple[np.ndarray, np.ndarray]) -> None:
    a = made_run(tmp_path / "a", answers[0], range(300))
    b = made_run(tmp_path / "b", answers[1][100:], range(100, 300))
    found = compare_runs([b, a])["pairs"][0]["pairing"]
    assert (found["rows"], found["only_before"], found["only_after"]) == (200, 100, 0)
    assert found["before"]["value"] == pytest.approx(answers[0][100:].mean())


def test_renamed_rows_are_known_by_their_content(tmp_path: Path, answers: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = made_run(tmp_path / "a", answers[0], range(300)), made_run(tmp_path / "b", answers[1], range(300))
    for name in ("predictions.jsonl", "split.csv"):
        text = (b / name).read_text()
        (b / name).write_text(text.replace("row ", "line "))
    assert compare_runs([b, a])["pairs"][0]["pairing"]["rows"] == 300


@pytest.mark.parametrize(("changes", "ids", "told"), [
    ({}, range(1000, 1300), "they share no scored row"),
    ({"task": "image-classification"}, range(300), "one is image-classification, the other text-classification"),
    ({"headline_split": "cross_validation"}, range(300), "by cross-validation"),
], ids=["other rows", "other task", "other split"])  # fmt: skip
def test_what_cannot_be_paired_is_said(
    tmp_path: Path, answers: tuple[np.ndarray, np.ndarray], changes: dict[str, Any], ids: range, told: str
) -> None:
    a = made_run(tmp_path / "a", answers[0], range(300))
    if "headline_split" in changes:
        changes |= {"metrics": {"cross_validation": {"accuracy": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 300}}}}
    b = made_run(tmp_path / "b", answers[1], ids, **changes)
    found = compare_runs([a, b])
    assert told in found["pairs"][0]["why_not"]
    assert "cannot be compared row by row" in comparison_lines(found)[-1]
    assert "cannot be compared row by row" in write_comparison(found, tmp_path / "page.html").read_text()


def test_runs_without_a_split_pair_only_on_equal_data(tmp_path: Path, answers: tuple[np.ndarray, np.ndarray]) -> None:
    same = {"data": {"fingerprint": "f"}}
    a = made_run(tmp_path / "a", answers[0], range(300), **same)
    b = made_run(tmp_path / "b", answers[1], range(300), **same)
    c = made_run(tmp_path / "c", answers[1], range(300))
    for run in (a, b, c):
        (run / "split.csv").unlink()
    found = compare_runs([a, b, c])
    assert found["pairs"][0]["pairing"]["rows"] == 300
    assert "earlier version" in found["pairs"][1]["why_not"]


def test_differences_are_told_on_the_terminal_and_on_one_page(
    tmp_path: Path, answers: tuple[np.ndarray, np.ndarray]
) -> None:
    a = made_run(tmp_path / "a", answers[0], range(300))
    b = made_run(tmp_path / "b", answers[1], range(300), model={"id": "<large>"}, seconds=99.0,
                 settings={"seed": 7, "depth": "auto", "out": "x"})  # fmt: skip
    found = compare_runs([a, b])
    assert [row["name"] for row in found["settings"]] == ["seed"]
    lines = comparison_lines(found)
    assert any(line.startswith("model") and "<large>" in line for line in lines)
    assert any(line.split() == ["seconds", "42", "99"] for line in lines)
    page = write_comparison(found, tmp_path / "page.html").read_text()
    assert "&lt;large&gt;" in page and "<large>" not in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "-8.0 points" in page and "worse" in page


def test_a_run_named_twice_or_none_is_refused(tmp_path: Path, answers: tuple[np.ndarray, np.ndarray]) -> None:
    a = made_run(tmp_path / "a", answers[0], range(300))
    with pytest.raises(RunError, match="named twice"):
        compare_runs([a, tmp_path / "." / "a"])
    with pytest.raises(RunError, match="not a finished run"):
        compare_runs([a, tmp_path])
