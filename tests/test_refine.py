"""`refine` continues a run: same rows on each side, nothing computed twice, before and after on the same labels."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
import tiny
from headstart import refinement
from headstart.budget import Clock
from headstart.cli.summary import summary_lines
from headstart.errors import DataError, RunError
from headstart.types import Silent

pytestmark = pytest.mark.slow  # whole runs, one after another

TRAIN, TEST = 120, 30
FLIPPED = range(0, 36, 3)  # labels of the training rows that are wrong
WRONG_TESTS = (1, 4)  # and of the test rows


def lines_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def table(file: Path, rows: list[list[str]]) -> None:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([["text", "label"], *rows])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refine")


@pytest.fixture(scope="module")
def right(root: Path) -> list[list[str]]:
    """Texts of two classes with their right labels; the first TRAIN of them are learnt from."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(TRAIN + TEST):
        words = [*rng.choice(tiny.WORDS[:4], 3), *[("cat", "house")[i % 2]] * 3, *rng.choice(tiny.WORDS[:6], 5)]
        rows.append([" ".join(map(str, words)) + f" {i}", ("animal", "place")[i % 2]])
    return rows


@pytest.fixture(scope="module", autouse=True)
def _own_cache_of_the_module(root: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        yield


def other(label: str) -> str:
    return {"animal": "place", "place": "animal"}[label]


@pytest.fixture(scope="module")
def run(root: Path, right: list[list[str]]) -> headstart.Result:
    """A run on data with wrong labels on both sides, its last block tuned."""
    (root / "data").mkdir()
    wrong = {*FLIPPED, *(TRAIN + i for i in WRONG_TESTS)}
    rows = [[text, other(label) if i in wrong else label] for i, (text, label) in enumerate(right)]
    table(root / "data" / "train.csv", rows[:TRAIN])
    table(root / "data" / "test.csv", rows[TRAIN:])
    return headstart.fit(root / "data", model=str(tiny.text_model(root / "model")), budget="900s", depth="block",
                         out=root / "run", offline=True, engine="torch", cache_dir=root / "features")  # fmt: skip


@pytest.fixture(scope="module")
def refined(run: headstart.Result, root: Path, right: list[list[str]]) -> headstart.Result:
    with (root / "right.csv").open("w", newline="") as stream:
        rows = [[f"train.csv row {i + 1}", "", right[i][1]] for i in FLIPPED]
        rows += [[f"test.csv row {i + 1}", "", right[TRAIN + i][1]] for i in WRONG_TESTS]
        csv.writer(stream).writerows([["input", "given", "label"], *rows])
    return headstart.refine(run.run, labels=root / "right.csv", out=root / "refined")


def test_no_unchanged_row_passes_through_the_frozen_network_again(
    run: headstart.Result, refined: headstart.Result
) -> None:
    assert run.details["cache"]["misses"] >= TRAIN
    assert refined.details["cache"]["misses"] == 0
    assert refined.details["cache"]["hits"] >= TRAIN


def test_the_split_and_the_settings_are_those_of_the_run(run: headstart.Result, refined: headstart.Result) -> None:
    assert (refined.run / "split.csv").read_bytes() == (run.run / "split.csv").read_bytes()
    before, after = run.details["settings"], refined.details["settings"]
    assert {k for k in before if before[k] != after[k]} == {"labels", "split", "out"}
    assert refined.details["model"]["id"] == run.details["model"]["id"]
    assert refined.details["refined_from"]["run"] == str(run.run)
    assert refined.details["data"]["corrected"] == len(FLIPPED) + len(WRONG_TESTS)


def test_both_runs_are_compared_on_the_corrected_labels(
    run: headstart.Result, refined: headstart.Result, right: list[list[str]]
) -> None:
    found = refined.details["comparison"]
    old = [json.loads(line) for line in (run.run / "predictions.jsonl").read_text().splitlines()]
    new = [json.loads(line) for line in (refined.run / "predictions.jsonl").read_text().splitlines()]
    labels = [label for _, label in right[TRAIN:]]
    assert [p["target"] for p in new] == labels
    assert (found["rows"], found["corrected"]) == (TEST, len(WRONG_TESTS))
    assert found["before"]["value"] == pytest.approx(np.mean([p["label"] == t for p, t in zip(old, labels)]))
    assert found["after"]["value"] == pytest.approx(np.mean([p["label"] == t for p, t in zip(new, labels)]))
    assert found["old_labels"]["value"] == pytest.approx(run.score)
    assert found["gain"]["value"] == pytest.approx(found["after"]["value"] - found["before"]["value"])
    assert found["gain"]["low"] <= found["gain"]["value"] <= found["gain"]["high"]
    assert "2 of these rows have a corrected label" in found["sentence"]


def test_exposures_of_the_test_rows_are_counted(run: headstart.Result, refined: headstart.Result, root: Path) -> None:
    assert (run.details["test_exposures"], refined.details["test_exposures"]) == (1, 2)
    along = headstart.refine(refined.run, out=root / "along")
    assert along.details["test_exposures"] == 3
    assert along.details["data"]["corrected"] == len(FLIPPED) + len(WRONG_TESTS)  # corrections stay in force
    assert "This test set has now been scored 3 times" in along.details["comparison"]["sentence"]
    assert any("now been scored 3 times" in line for line in summary_lines(along.details, "runs/x"))


def test_new_rows_are_learnt_from_and_only_they_are_computed(
    run: headstart.Result, refined: headstart.Result, root: Path, right: list[list[str]]
) -> None:
    shutil.copytree(root / "data", root / "more")
    rows = [[r["text"], r["label"]] for r in lines_of(root / "data" / "train.csv")]
    table(root / "more" / "train.csv", [*rows, *[[f"{text} again and again", label] for text, label in right[:10]]])
    (root / "gone.csv").write_text("input\ntrain.csv row 2\n")
    grown = headstart.refine(run.run, data=root / "more", out=root / "grown", budget="800s", exclude=root / "gone.csv")
    assert grown.details["data"]["split"]["train"] == TRAIN + 10 - 1
    assert grown.details["data"]["excluded"] == 1
    assert grown.details["cache"]["misses"] == 10
    assert grown.details["comparison"]["rows"] == TEST
    assert grown.details["budget_seconds"] == 800
    # the second run that was made from the first knows of the one before
    assert grown.details["test_exposures"] > refined.details["test_exposures"]


def test_the_report_shows_before_and_after(refined: headstart.Result) -> None:
    page = (refined.run / "report.html").read_text()
    assert 'data-key="comparison.before.value"' in page
    assert 'data-key="comparison.gain.low"' in page


@pytest.mark.parametrize(("text", "message"), [
    ("input,label\ntrain.csv row 999,animal\n", "belong to no row"),
    ("input,label\ntrain.csv row 1,anmal\n", "Did you mean 'animal'"),
    ("input,label\ntrain.csv row 1,animal\ntrain.csv row 1,place\n", "two labels each"),
], ids=["unknown id", "unknown class", "conflict"])  # fmt: skip
def test_corrections_that_do_not_fit_are_told_and_leave_nothing_behind(
    run: headstart.Result, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "wrong.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        headstart.refine(run.run, labels=tmp_path / "wrong.csv", out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_continued_is_said(run: headstart.Result, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a finished run"):
        headstart.refine(tmp_path)
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(run.run / "result.json", old)
    with pytest.raises(RunError, match=r"no split\.csv: an earlier version"):
        headstart.refine(old)
    with pytest.raises(RunError, match=r"does not exist here.*--data"):
        headstart.refine(run.run, data=tmp_path / "nowhere")
    with pytest.raises(RunError, match="already holds a run"):
        headstart.refine(run.run, out=run.run)


def test_states_of_other_inputs_are_made_only_with_more_time(
    run: headstart.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "run"
    shutil.copytree(run.run, made)
    content = json.loads((made / "plan.json").read_text())
    (made / "plan.json").write_text(json.dumps(content | {"views": ["plain", "flip"], "precision": "f32"}))
    begun: list[Any] = []
    monkeypatch.setattr(refinement, "run_fit", lambda *given, earlier: begun.append(earlier.plan))
    for seconds in (900.0, 901.0):
        settings = refinement.refine_settings(made, seconds, out=tmp_path / "next")
        refinement.run_refine(made, settings, Silent(), Clock(seconds))
    assert [(plan.views, plan.precision) for plan in begun] == [(("plain", "flip"), "f32"), (None, "f32")]
    assert all(plan.dev_rows is None and plan.rungs is None for plan in begun)
