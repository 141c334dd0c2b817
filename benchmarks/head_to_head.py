"""headstart against a rival script on the same rows: a new head on frozen features, or a whole run with a budget."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common import Process, Records, Said, crossed_interval, machine_line, parser, points, spread, table
from headstart.settings import parse_budget
from headstart.sources.cache_dir import cache_dir
from headstart.types import Dataset, Example, Reporter
from rival_env import rival_python
from runs import Fit, fit_tables
from splits import check_same_rows, model_folder, read_rows, rival, split_rows, write_tables


@dataclass(frozen=True)
class Comparison:
    """What is compared. prepare: as in headstart.demo_data. rival: a file of rivals/, described by rival_name.

    depth: of headstart fit. rival_pins: names the rival's own environment, "" where it has headstart's.
    """

    name: str
    task: str
    model: str
    prepare: Callable[[Path, Reporter], Path]
    columns: dict[str, str]
    test_size: float
    rival: str
    rival_name: str
    depth: str = "head"
    rival_pins: str = ""


def beside_autogluon(head: Comparison, name: str) -> Comparison:
    """Whole runs on the data of this comparison, against AutoGluon with as much time."""
    return replace(head, name=name, rival="autogluon_fit.py", rival_name="AutoGluon MultiModal 1.6.3", depth="auto",
                   rival_pins="autogluon")  # fmt: skip


@dataclass(frozen=True)
class Seed:
    """One seed's facts. correct: per test row, ours and theirs; units: the rows' groups."""

    facts: dict[str, Any]
    units: list[str]
    ours: list[bool]
    theirs: list[bool]


def main(comparison: Comparison, description: str | None) -> None:
    """Run all seeds, write the lines, print the table."""
    made = parser(description)
    made.add_argument("--seeds", type=int, default=5, help="number of splits: seeds 0, 1, …")
    made.add_argument("--limit", type=int, help="use that many rows only (for development; marked small)")
    made.add_argument("--budget", default="10m", help="budget of headstart fit")
    arguments = made.parse_args()
    records = Records(comparison.name, arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        data = comparison.prepare(cache_dir() / "demo", Said())
        dataset = read_rows(data, comparison.columns, arguments.limit, Path(scratch))
        folder = model_folder(comparison.model)
        found = []
        for seed in range(arguments.seeds):
            found.append(_one_seed(comparison, arguments, dataset, folder, seed, Path(scratch) / str(seed)))
            records.write("seed", **found[-1].facts)
    summary = _summary(found)
    records.write("summary", **summary)
    print(_table(comparison, found, summary, records.small))


def _one_seed(
    comparison: Comparison, arguments: argparse.Namespace, dataset: Dataset, model: Path, seed: int, scratch: Path
) -> Seed:
    """Both systems on one split; even seeds start with headstart, odd ones with the rival."""
    train, test = split_rows(dataset, seed, comparison.test_size)
    tables = write_tables(train, test, scratch)
    options = ["--depth", comparison.depth, "--seed", str(seed), "--budget", arguments.budget]

    def ours_run() -> Fit:
        return fit_tables(tables, scratch / "fit", comparison.task, comparison.model, options)

    def rival_run() -> tuple[Process, dict[str, Any]]:
        python = rival_python(comparison.rival_pins) if comparison.rival_pins else sys.executable
        limit = {"TIME_LIMIT": f"{parse_budget(arguments.budget):.0f}"}
        return rival(comparison.rival, model, tables, scratch, python, limit)

    if seed % 2 == 0:
        ours = ours_run()
        process, theirs = rival_run()
    else:
        process, theirs = rival_run()
        ours = ours_run()
    check_same_rows(test, ours.targets, theirs["targets"])
    return _facts(seed, test, ours, process.wall_s, process.cpu_s, theirs, len(train))


def _facts(seed: int, test: list[Example], ours: Fit, rival_wall_s: float, rival_cpu_s: float, theirs: dict[str, Any],
           n_train: int) -> Seed:  # fmt: skip
    our_labels = [p["label"] for p in ours.predictions]
    right = [label == e.target for label, e in zip(our_labels, test)]
    their_right = [label == e.target for label, e in zip(theirs["predictions"], test)]
    facts = {
        "seed": seed, "first": "rival" if seed % 2 else "headstart", "train": n_train, "test": len(test),
        "headstart": {"accuracy": float(np.mean(right)), "wall_s": ours.process.wall_s, "cpu_s": ours.process.cpu_s,
                      "core_s": ours.core_s, "timing": ours.result["timing"], "engine": ours.result["engine"],
                      "head": ours.result["depth"]["rungs"][0]["description"],
                      "depth": ours.result["depth"]["chosen"],
                      "warnings": ours.result["warnings"]},
        "rival": {"accuracy": float(np.mean(their_right)), "wall_s": rival_wall_s, "cpu_s": rival_cpu_s,
                  "seconds": theirs["seconds"]},
    }  # fmt: skip
    return Seed(facts, [e.group for e in test], right, their_right)


def _summary(found: list[Seed]) -> dict[str, Any]:
    """Accuracy difference with its interval; ratios of times, rival / headstart, within each seed."""
    seeds = [s.facts["seed"] for s in found for _ in s.ours]
    units = [u for s in found for u in s.units]
    differences = [float(a) - float(b) for s in found for a, b in zip(s.ours, s.theirs)]
    value, low, high = crossed_interval(seeds, units, differences, [1.0] * len(seeds))
    ratios = {
        f"rival_{theirs}/headstart_{ours}": [s.facts["rival"][theirs] / s.facts["headstart"][ours] for s in found]
        for ours, theirs in (("core_s", "wall_s"), ("wall_s", "wall_s"), ("cpu_s", "cpu_s"))
    }
    return {"accuracy_difference": {"value": value, "low": low, "high": high}, "ratios": ratios}


def _table(comparison: Comparison, found: list[Seed], summary: dict[str, Any], small: bool) -> str:
    difference = summary["accuracy_difference"]
    ratios = summary["ratios"]

    def column(system: str, key: str, scale: float, digits: int) -> str:
        return spread([scale * s.facts[system][key] for s in found], digits)

    rows = [
        ("accuracy, %", column("headstart", "accuracy", 100, 1), column("rival", "accuracy", 100, 1),
         points((difference["value"], difference["low"], difference["high"]))),
        ("until predictions, s", column("headstart", "core_s", 1, 1), column("rival", "wall_s", 1, 1),
         f"{spread(ratios['rival_wall_s/headstart_core_s'])} times as fast"),
        ("whole process, s", column("headstart", "wall_s", 1, 1), column("rival", "wall_s", 1, 1),
         f"{spread(ratios['rival_wall_s/headstart_wall_s'])} times as fast"),
        ("CPU of the whole process, s", column("headstart", "cpu_s", 1, 1), column("rival", "cpu_s", 1, 1),
         f"{spread(ratios['rival_cpu_s/headstart_cpu_s'])} times less"),
    ]  # fmt: skip
    facts = found[0].facts
    title = f"{comparison.name}: {facts['train']} rows to learn from, {facts['test']} to test on, {len(found)} seed(s)"
    command = "headstart fit" + (f" --depth {comparison.depth}" if comparison.depth != "auto" else "")
    depths = ", ".join(s.facts["headstart"]["depth"] for s in found)
    header = ("median (range) over seeds", command, comparison.rival_name, "difference")
    lines = [
        f"### {title}{' (SMALL: for development only)' if small else ''}", "",
        table(header, rows), "",
        f"Depths: {depths}. Whole process of headstart: with naive baseline, random-weight control and report, which "
        "the rival lacks.", "",
        machine_line(),
    ]  # fmt: skip
    return "\n".join(lines)
