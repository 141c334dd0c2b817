"""A run's folder: files appear whole, numbers are valid JSON, damage is told apart from absence."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import MachineError, RunError
from headstart.run_dir import RunDir, finite, read_result, write_atomically
from headstart.types import Prediction, Rejected


def test_a_folder_that_holds_a_run_is_never_overwritten(tmp_path):
    run = RunDir.create(tmp_path / "runs" / "one")
    assert run.model.is_dir()
    RunDir.create(run.path)  # not finished yet, so it may be begun again
    run.write_json("result.json", {})
    with pytest.raises(RunError, match=r"already holds a run.*--out"):
        RunDir.create(run.path)


@pytest.mark.parametrize("name", ["file/run", "n" * 300])
def test_a_folder_that_cannot_be_made_is_an_error_with_a_fix(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"cannot be made.*--out"):
        RunDir.create(tmp_path / name)


def test_finite_makes_plain_json_values():
    given = {1: float("nan"), "a": (np.float32("inf"), np.int64(3), np.array([1.5, np.nan])), "b": None, "c": "NaN"}
    assert finite(given) == {"1": None, "a": [None, 3, [1.5, None]], "b": None, "c": "NaN"}


def test_json_files_hold_null_for_nan_and_text_for_paths(tmp_path):
    run = RunDir.create(tmp_path)
    run.write_json("result.json", {"score": np.float64("nan"), "path": Path("a/b"), "name": "Grüße"})
    assert read_result(tmp_path) == {"score": None, "path": "a/b", "name": "Grüße"}


def test_predictions_are_valid_json_lines(tmp_path):
    run = RunDir.create(tmp_path)
    run.write_predictions(
        [Prediction("a\nb", label="x", probabilities={"x": float("nan")}), Prediction("c", error="no")]
    )
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert "NaN" not in lines[0]
    assert [json.loads(line)["input"] for line in lines] == ["a\nb", "c"]


def test_the_log_takes_anything_one_line_each(tmp_path):
    run = RunDir.create(tmp_path)
    run.log("data", note="half a character: \ud800", value=np.float32("nan"), path=Path("x"))
    run.log("next")
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [e["event"] for e in events] == ["data", "next"]
    assert events[0]["value"] is None


def test_quarantine_is_a_csv_with_reasons(tmp_path):
    RunDir.create(tmp_path).write_quarantine(
        [Rejected('a "b", c', "empty file"), Rejected("row 2", "x", "line\nbreak")]
    )
    with (tmp_path / "quarantine.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["input", "reason", "detail"], ['a "b", c', "empty file", ""], ["row 2", "x", "line\nbreak"]]  # fmt: skip


@pytest.mark.parametrize("call", ["write_text", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, call):
    file = tmp_path / "result.json"
    write_atomically(file, "old")

    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, call, full)
    with pytest.raises(MachineError, match=r"No space left on device. Free some"):
        write_atomically(file, "new")
    monkeypatch.undo()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_no_result_and_a_damaged_result_differ(tmp_path):
    with pytest.raises(RunError, match="not a finished run"):
        read_result(tmp_path / "nowhere")
    for content in (b'{"task": ', b"[]", b"\xff\xfe\x00"):
        (tmp_path / "result.json").write_bytes(content)
        with pytest.raises(RunError, match=r"is damaged.*Run the fit again"):
            read_result(tmp_path)
