"""Faults planted in a small table are found by a whole run, told everywhere, and dropped only when asked to."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import headstart
import tiny
from headstart.cli.summary import summary_lines
from headstart.errors import DataError

pytestmark = pytest.mark.slow  # whole fits

ROWS = 240
FLIPPED = range(0, 48, 3)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """train.csv, test.csv of two easy classes: a tell-tale camera, sixteen flips, copies, two leaked test rows."""
    root = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(ROWS + 40):
        label = ("animal", "place")[i % 2]
        words = [*rng.choice(tiny.WORDS[:4], 3), *[("cat", "house")[i % 2]] * 6, *rng.choice(tiny.WORDS[:6], 3)]
        camera = ("front", "back")[(i + (rng.random() < 0.05)) % 2]
        rows.append([" ".join(map(str, words)) + f" {i}", label, camera, ("x", "y", "z")[i % 3]])
    for i in FLIPPED:
        rows[i][1] = ("place", "animal")[i % 2]
    train = [*rows[:ROWS], [*rows[50]], [rows[51][0], "animal", *rows[51][2:]]]
    test = [*rows[ROWS:], rows[60], rows[61]]
    (root / "data").mkdir()
    for name, part in (("train", train), ("test", test)):
        with (root / "data" / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("text", "label", "camera", "shelf"), *part])
    return root, tiny.text_model(root / "model")


@pytest.fixture(scope="module")
def run(planted: tuple[Path, Path]) -> headstart.Result:
    root, model = planted
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        return headstart.fit(
            root / "data", model=str(model), budget="200s", out=str(root / "run"), depth="head", offline=True
        )


def lines(run: headstart.Result, name: str) -> list[dict[str, str]]:
    with (run.run / "findings" / f"{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_flipped_labels_are_found_with_what_they_were(run: headstart.Result) -> None:
    flipped = {f"train.csv row {i + 1}" for i in FLIPPED}
    listed = lines(run, "label_errors")
    assert len(flipped & {line["input"] for line in listed}) >= 14
    assert len(listed) <= 18
    assert all(line["suggested"] != line["given"] for line in listed)


def test_what_right_labels_would_bring_is_measured_on_rows_that_are_not_listed(run: headstart.Result) -> None:
    found = run.details["findings"]["label_errors"]
    gain = found["relabelled"]["others"]
    assert gain["rows"] == found["checked"] - found["count"]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert gain["value"] >= 0  # two easy classes: sixteen wrong labels of 242 can only disturb
    steps = run.details["next_steps"]["steps"]
    assert steps[0]["what"] == "labels"
    assert f"{100 * gain['value']:+.1f} points" in steps[0]["because"]


def test_copies_are_found_and_differing_labels_come_first(run: headstart.Result) -> None:
    first = lines(run, "duplicates")[0]
    assert first["input"] == "train.csv row 242" and "labels differ" in first["reason"]
    assert run.details["findings"]["duplicates"]["count"] == 4
    assert run.details["findings"]["duplicates"]["conflicts"] == 1


def test_leaked_test_rows_are_found_with_the_score_without_them(run: headstart.Result) -> None:
    assert {line["input"] for line in lines(run, "leaks")} == {"test.csv row 41", "test.csv row 42"}
    predictions = [json.loads(line) for line in (run.run / "predictions.jsonl").read_text().splitlines()]
    right = np.mean([p["label"] == p["target"] for p in predictions[:40]])
    assert run.details["findings"]["leaks"]["without"]["value"] == pytest.approx(right)
    assert any(w.startswith("Without the 2 test rows") for w in run.details["warnings"])


def test_the_camera_is_told_and_the_shelf_is_not(run: headstart.Result) -> None:
    assert [line["column"] for line in lines(run, "columns")] == ["camera"]
    assert any("'camera' tells the label" in w for w in run.details["warnings"])


def test_the_report_and_the_summary_tell_them(run: headstart.Result) -> None:
    page = (run.run / "report.html").read_text()
    assert "Likely label errors" in page and "Columns that tell the label" in page
    assert 'data-key="findings.label_errors.rows.0.excerpt"' in page
    assert any(line.startswith("Found") and "4 copies" in line for line in summary_lines(run.details, "runs/x"))


def test_easy_classes_are_not_called_hopeless(run: headstart.Result) -> None:
    assert run.details["findings"]["classes"]["count"] == 0


def test_exclude_drops_what_the_user_agrees_to(run: headstart.Result, planted: tuple[Path, Path]) -> None:
    root, model = planted
    options = {
        "model": str(model),
        "budget": "200s",
        "depth": "head",
        "offline": True,
        "cache_dir": str(root / "cache"),
    }
    agreed = str(run.run / "findings" / "leaks.csv")
    again = headstart.fit(root / "data", out=str(root / "again"), exclude=agreed, **options)
    assert again.details["data"]["excluded"] == 2
    assert again.details["settings"]["exclude"] == agreed
    assert again.details["findings"]["leaks"]["count"] == 0
    assert any("2 rows left out" in note for note in again.details["data"]["notes"])
    (root / "wrong.csv").write_text("input\nrow 1\n")
    with pytest.raises(DataError, match="belong to no row"):
        headstart.fit(root / "data", out=str(root / "never"), exclude=str(root / "wrong.csv"), **options)
