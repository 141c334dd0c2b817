"""headstart's own runs, each a process of its own, known only by its command line and the files it writes."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import Process, Said, run_process
from headstart.demo_data import DEMOS
from headstart.sources.cache_dir import cache_dir

PREDICTED = 2  # inputs of a demo that `headstart predict` is tried on
TABLED = ("images", "text", "audio", "speech", "summaries")  # demos whose rows stand in a table


@dataclass(frozen=True)
class Fit:
    """One `headstart fit`.

    core_s: wall seconds without the baselines, controls and report that come after the predictions.
    predictions: lines of predictions.jsonl, in the order of the test rows. log: lines of log.jsonl.
    """

    process: Process
    core_s: float
    result: dict[str, Any]
    predictions: list[dict[str, Any]]
    log: list[dict[str, Any]]

    @property
    def targets(self) -> list[str]:
        """What was right for each row of the predictions."""
        return [p["target"] for p in self.predictions]

    @property
    def depth(self) -> dict[str, Any]:
        """The depth chosen and why; name, score, cost in seconds and measured difference of every rung tried."""
        kept = ("name", "metric", "seconds", "difference", "chosen")
        rungs = [{**{k: r[k] for k in kept}, "score": r["score"]["value"]} for r in self.result["depth"]["rungs"]]
        return {"chosen": self.result["depth"]["chosen"], "why": self.result["depth"]["why"], "rungs": rungs}


@dataclass(frozen=True)
class Job:
    """The data of a demo, as options of `headstart fit` and, for two inputs, of `headstart predict`."""

    name: str
    options: tuple[str, ...]
    inputs: tuple[str, ...]


def fresh_cache(folder: Path) -> Path:
    """A new cache folder: no features, no converted networks, the real models."""
    folder.mkdir(parents=True)
    (folder / "models").symlink_to((cache_dir() / "models").resolve())
    return folder


def fit(options: Sequence[str | Path], run: Path, cache: Path) -> Fit:
    """Run `headstart fit` offline into a new folder `run`.

    Raises SystemExit with its last words where it fails.
    """
    process = run_process([sys.executable, "-m", "headstart", "fit", *options, "--out", run, "--offline"],
                          {"HEADSTART_CACHE": str(cache)})  # fmt: skip
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    log = _lines(run / "log.jsonl")
    at = {line["event"]: float(line["seconds"]) for line in log}
    # the saved model's predictions are checked just after they are made
    after = at["finished"] - at["golden"]
    return Fit(process, process.wall_s - after, result, _lines(run / "predictions.jsonl"), log)


def fit_tables(tables: tuple[Path, Path], folder: Path, task: str, model: str, options: Sequence[str]) -> Fit:
    """Fit the tables of splits.write_tables with a fresh cache. folder: a fresh one, for the run and its cache."""
    columns = [part for role in ("input", "target", "group") for part in (f"--{role}-column", role)]
    given = [tables[0], "--test", tables[1], "--task", task, "--model", model, *columns, *options]
    return fit(given, folder / "run", fresh_cache(folder / "cache"))


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def limited(path: Path, limit: int, scratch: Path, classes: str | None = None) -> Path:
    """A table with some of the rows of a table or metadata.csv, drawn with a fixed seed; file names become absolute.

    classes: the column with them; those drawn fewer than five times are left out, for headstart refuses lone examples.
    """
    rows = read_csv(path)
    drawn = [rows[i] for i in np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])]
    if classes:
        count = Counter(row[classes] for row in drawn)
        drawn = [row for row in drawn if count[row[classes]] >= 5]
    target = scratch / f"limited-{path.stem}-{limit}.csv"
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(drawn)
    return target


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a table, or of a folder's metadata.csv with absolute file names."""
    file = path / "metadata.csv" if path.is_dir() else path
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if "file_name" in row:
            row["file_name"] = str((file.parent / row["file_name"]).resolve())
    return rows


def demo_jobs(limit: int | None, scratch: Path, names: Sequence[str] = TABLED) -> list[Job]:
    """The demos' data with the demos' own settings, the budget apart. limit: rows of each, of each side where given."""
    jobs = []
    for name in names:
        demo = DEMOS[name]
        data = demo.prepare(cache_dir() / "demo", Said())
        settings = [part for key, value in demo.settings.items() if key != "budget"
                    for part in (f"--{key.replace('_', '-')}", str(value))]  # fmt: skip
        sides = [data / "train", data / "test"] if (data / "train").is_dir() else [data]
        first = read_csv(sides[0])[:PREDICTED]
        if limit is not None:
            classes = demo.settings.get("target_column")
            sides = [limited(side, limit, scratch, classes) for side in sides]
            data = sides[0]
            settings += ["--test", str(sides[1])] if len(sides) > 1 else []
        inputs = [row["file_name"] for row in first if "file_name" in row]
        inputs = inputs or [part for row in first for part in ("--text", row.get("text") or row["document"])]
        jobs.append(Job(name, (str(data), "--task", demo.task, *settings), tuple(inputs)))
    return jobs
