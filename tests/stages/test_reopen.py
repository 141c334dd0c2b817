"""A finished run is opened again with the same rows and split, or says how its data have changed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from headstart.errors import DataError, RunError, SettingError
from headstart.plan import Plan
from headstart.settings import Settings
from headstart.stages.read import read_data
from headstart.stages.reopen import reopen
from headstart.types import Silent


def run_of(folder: Path, data: Path, plan: Plan | None = None, **settings: Any) -> Path:
    """What a run leaves that reopening needs."""
    made = Settings(str(data), **settings)
    _, dataset, _ = read_data(made, Silent())
    classes = {name: sum(e.target == name for e in dataset.examples) for name in dataset.classes}
    described = {"fingerprint": dataset.fingerprint, "used": len(dataset.examples), "classes": classes}
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({"data": described, "settings": made.to_json()}))
    (plan or Plan()).save(folder / "plan.json")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny.text_data(tmp_path / "data" / "texts.csv")


def test_the_same_data_give_the_same_rows_and_split(tmp_path: Path, data: Path) -> None:
    run = run_of(tmp_path / "run", data, seed=3)
    _, dataset, split = read_data(Settings(str(data), seed=3), Silent())
    opened = reopen(run)
    assert opened.changed == ()
    opened.require_unchanged()
    assert opened.settings == Settings(str(data), seed=3)
    assert [e.id for e in opened.dataset.examples] == [e.id for e in dataset.examples]
    np.testing.assert_array_equal(opened.split.dev, split.dev)
    np.testing.assert_array_equal(opened.split.folds, split.folds)


def test_a_run_on_a_part_of_the_rows_keeps_that_part(tmp_path: Path, data: Path) -> None:
    opened = reopen(run_of(tmp_path / "run", data, Plan(dev_rows=60)))
    assert 40 <= len(opened.split.dev) <= 60
    assert len(opened.split.folds) == len(opened.split.dev)


def test_moved_data_are_found_where_the_user_says(tmp_path: Path, data: Path) -> None:
    run = run_of(tmp_path / "run", data)
    moved = tmp_path / "moved.csv"
    data.rename(moved)
    with pytest.raises(DataError, match=r"does not exist here\..*--data"):
        reopen(run)
    assert reopen(run, moved).changed == ()


def test_changed_data_are_told(tmp_path: Path, data: Path) -> None:
    run = run_of(tmp_path / "run", data)
    with data.open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    for changed, told in (
        (rows[1:], "118 rows|119 rows|39"),
        ([[rows[0][0] + " a", rows[0][1]], *rows[1:]], "as many rows"),
        ([[rows[0][0], "place"], *rows[1:]], "40 rows had the label 'animal', now 39"),
    ):
        with data.open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *changed])
        opened = reopen(run)
        assert opened.changed
        with pytest.raises(DataError, match=told):
            opened.require_unchanged()


def test_what_is_no_run_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(RunError, match="not a finished run"):
        reopen(tmp_path)
    run = run_of(tmp_path / "run", data)
    result = json.loads((run / "result.json").read_text())
    result["settings"]["colour"] = "red"
    (run / "result.json").write_text(json.dumps(result))
    with pytest.raises(RunError, match="unknown setting 'colour'"):
        reopen(run)
    (run / "plan.json").unlink()
    with pytest.raises(SettingError, match="no plan"):
        reopen(run)
