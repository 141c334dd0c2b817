"""The rows of every seed, written once as tables that headstart and its rival both read; and headstart's own runs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import Process, Said, run_process
from headstart import sources
from headstart.data.split import make_split
from headstart.settings import Settings
from headstart.sources.cache_dir import cache_dir
from headstart.types import Dataset, Example
from headstart.workflow import read_data

COLUMNS = ("input", "target", "group")


@dataclass(frozen=True)
class Fit:
    """One `headstart fit` in a process of its own.

    core_s: wall seconds without the baselines, controls and report that come after the predictions.
    predictions: lines of predictions.jsonl, in the order of the test rows.
    """

    process: Process
    core_s: float
    result: dict[str, Any]
    predictions: list[dict[str, Any]]


def read_rows(path: Path, columns: Mapping[str, str], limit: int | None, scratch: Path) -> Dataset:
    """The data as headstart reads and checks them; `limit` keeps that many rows drawn at random (fixed seed)."""
    if limit is not None:
        path = _limited(path, limit, scratch)
    names = {f"{role}_column": name for role, name in columns.items()}
    _, dataset, _ = read_data(Settings(str(path), **names), Said())  # type: ignore[arg-type]
    return dataset


def _limited(path: Path, limit: int, scratch: Path) -> Path:
    """A table with some of the rows; file names become absolute."""
    file = path / "metadata.csv" if path.is_dir() else path
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    kept = np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])
    chosen = [dict(rows[i]) for i in kept]
    for row in chosen:
        if "file_name" in row:
            row["file_name"] = str((file.parent / row["file_name"]).resolve())
    target = scratch / f"limited-{path.stem}-{limit}.csv"
    _write(target, list(rows[0]), (row.values() for row in chosen))
    return target


def split_rows(dataset: Dataset, seed: int, test_size: float) -> tuple[list[Example], list[Example]]:
    """Training and test examples of one seed, as headstart itself would hold them out."""
    split = make_split(dataset, seed, test_size, False)
    return [dataset.examples[r] for r in split.dev], [dataset.examples[r] for r in split.test]


def write_tables(train: Sequence[Example], test: Sequence[Example], folder: Path) -> tuple[Path, Path]:
    """train.csv and test.csv (input, target, group)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "train.csv", folder / "test.csv"
    for path, examples in zip(paths, (train, test)):
        _write(path, COLUMNS, ((e.input, e.target, e.group) for e in examples))
    return paths


def _write(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def model_folder(model: str) -> Path:
    """The folder of a catalog model, fetched where it is missing."""
    return sources.get(model, Said()).folder.resolve()


def fit(tables: tuple[Path, Path], folder: Path, task: str, model: str, options: Sequence[str]) -> Fit:
    """Run `headstart fit` with an empty feature cache; models come from the real cache.

    folder: a fresh one, for the run and its cache.
    """
    cache = folder / "cache"
    cache.mkdir(parents=True)
    (cache / "models").symlink_to((cache_dir() / "models").resolve())
    run = folder / "run"
    command = [sys.executable, "-m", "headstart", "fit", tables[0], "--test", tables[1], "--out", run, "--task", task,
               "--model", model, "--offline", *options]  # fmt: skip
    for role in COLUMNS:
        command += [f"--{role}-column", role]
    process = run_process(command, {"HEADSTART_CACHE": str(cache)})
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    after = _seconds_after_predictions(run / "log.jsonl")
    return Fit(process, process.wall_s - after, result, _lines(run / "predictions.jsonl"))


def _seconds_after_predictions(log: Path) -> float:
    """From the check of the saved model's predictions to the end: baselines, controls, report."""
    at = {line["event"]: float(line["seconds"]) for line in _lines(log)}
    return at["finished"] - at["golden"]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def rival(script: str, model: Path, tables: tuple[Path, Path], folder: Path) -> tuple[Process, dict[str, Any]]:
    """Run a script of rivals/ on the same rows; its predictions and seconds."""
    out = folder / "rival.json"
    process = run_process([sys.executable, Path(__file__).parent / "rivals" / script, model, *tables, out],
                          {"HF_HUB_OFFLINE": "1"})  # fmt: skip
    return process, json.loads(out.read_text(encoding="utf-8"))


def check_same_rows(test: Sequence[Example], found: Fit, theirs: Mapping[str, Any]) -> None:
    """Refuse a comparison on different rows. Raises SystemExit."""
    wanted = [e.target for e in test]
    if [p["target"] for p in found.predictions] != wanted or theirs["targets"] != wanted:
        raise SystemExit("headstart and its rival were not scored on the same test rows. Report this fault.")
