"""Sixteen package descriptions a section: `headstart fit` against what others do with as few labels.

Rivals, all with the same network: logistic regression on sentence-transformers' embeddings; transformers' Trainer on
the whole network, 3 and 20 epochs; SetFit with one pair of each kind for a text (by default it takes every pair).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import Records, Said, crossed_interval, machine_line, parser, points, spread, table
from headstart.demo_data import debian
from headstart.sources.cache_dir import cache_dir
from headstart.types import Example
from runs import fit_tables
from splits import check_same_rows, model_folder, read_rows, rival, split_rows, write_tables

TASK, MODEL = "text-classification", "pip:all-minilm-l6-v2"
COLUMNS = {"input": "text", "target": "section", "group": "source"}
TEST_SIZE = 0.2
# name -> script, its environment
RIVALS = {
    "sentence-transformers + LogisticRegression": ("sentence_logistic.py", {}),
    "Trainer, 3 epochs": ("trainer_texts.py", {"EPOCHS": "3"}),
    "Trainer, 20 epochs": ("trainer_texts.py", {"EPOCHS": "20"}),
    "SetFit, 1 iteration": ("setfit_texts.py", {"ITERATIONS": "1"}),
}
OURS = {"headstart fit --depth head": "head", "headstart fit": "auto"}


@dataclass(frozen=True)
class Answer:
    """One system on one draw. seconds: until its predictions."""

    right: list[bool]
    seconds: float
    facts: dict[str, Any]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=10, help="draws of the rows to learn from: seeds 0, 1, …")
    made.add_argument("--shots", type=int, default=16, help="rows of each section to learn from")
    made.add_argument("--test", type=int, default=1000, help="rows to test on")
    made.add_argument("--budget", default="5m", help="budget of headstart fit")
    made.add_argument("--rivals", type=int, nargs="+", default=list(range(len(RIVALS))), metavar="N",
                      help=f"which: {', '.join(f'{i} {name}' for i, name in enumerate(RIVALS))}")  # fmt: skip
    made.add_argument("--ours", type=int, nargs="+", default=list(range(len(OURS))), metavar="N",
                      help=f"which: {', '.join(f'{i} {name}' for i, name in enumerate(OURS))}")  # fmt: skip
    arguments = made.parse_args()
    records = Records("few_shot_texts", arguments.results, small=arguments.seeds < 5)
    records.open(arguments)
    ours, rivals = ([list(names)[i] for i in chosen] for names, chosen in
                    ((OURS, arguments.ours), (RIVALS, arguments.rivals)))  # fmt: skip
    found: dict[str, list[Answer]] = {name: [] for name in (*ours, *rivals)}
    units: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        dataset = read_rows(debian.prepare(cache_dir() / "demo", Said()), COLUMNS, None, Path(scratch))
        folder = model_folder(MODEL)
        for seed in range(arguments.seeds):
            train, test = split_rows(dataset, seed, TEST_SIZE)
            drawn = np.random.default_rng(seed)
            train = _few(train, arguments.shots, drawn)
            test = [test[i] for i in np.sort(drawn.permutation(len(test))[: arguments.test])]
            units.append([e.group for e in test])
            own = Path(scratch) / str(seed)
            systems = _systems(arguments, folder, train, test, seed, own, ours, rivals)
            for name in list(systems) if seed % 2 == 0 else list(systems)[::-1]:
                found[name].append(systems[name]())
                answer = found[name][-1]
                records.write("draw", seed=seed, system=name, train=len(train), accuracy=float(np.mean(answer.right)),
                              seconds=answer.seconds, **answer.facts)  # fmt: skip
    print(_table(arguments, found, ours, units, records))


def _few(examples: list[Example], shots: int, rng: np.random.Generator) -> list[Example]:
    """So many of each class, drawn at random."""
    kept: list[Example] = []
    for i in rng.permutation(len(examples)):
        if sum(e.target == examples[i].target for e in kept) < shots:
            kept.append(examples[i])
    return kept


def _systems(
    arguments: argparse.Namespace, model: Path, train: list[Example], test: list[Example], seed: int, own: Path,
    ours: list[str], rivals: list[str],
) -> dict[str, Callable[[], Answer]]:  # fmt: skip
    tables = write_tables(train, test, own)

    def fitted(depth: str) -> Answer:
        options = ["--depth", depth, "--seed", str(seed), "--budget", arguments.budget]
        fit = fit_tables(tables, own / depth, TASK, MODEL, options)
        check_same_rows(test, fit.targets)
        right = [p["label"] == p["target"] for p in fit.predictions]
        return Answer(right, fit.core_s, {"depth": fit.depth, "whole_s": fit.process.wall_s})

    def theirs(name: str) -> Answer:
        script, environment = RIVALS[name]
        process, answer = rival(script, model, tables, own, environment=environment)
        check_same_rows(test, answer["targets"])
        right = [label == target for label, target in zip(answer["predictions"], answer["targets"])]
        return Answer(right, process.wall_s, {"parts": answer["seconds"]})

    made: dict[str, Callable[[], Answer]] = {name: lambda depth=OURS[name]: fitted(depth) for name in ours}  # type: ignore[misc]
    return made | {name: lambda name=name: theirs(name) for name in rivals}  # type: ignore[misc]


def _table(
    arguments: argparse.Namespace, found: dict[str, list[Answer]], ours: list[str], units: list[list[str]],
    records: Records,
) -> str:  # fmt: skip
    seeds = [seed for seed, of_draw in enumerate(units) for _ in of_draw]
    rows = []
    first = ours[0]
    for name, answers in found.items():
        differences = []
        for our in ours:
            gaps = [float(a) - float(b) for one, theirs in zip(found[our], answers)
                    for a, b in zip(one.right, theirs.right)]  # fmt: skip
            gain = crossed_interval(seeds, [u for of_draw in units for u in of_draw], gaps, [1.0] * len(gaps))
            differences.append("" if name == our else points(gain))
            records.write("difference", ours=our, other=name, gain=dict(zip(("value", "low", "high"), gain)))
        ratios = [theirs.seconds / one.seconds for one, theirs in zip(found[first], answers)]
        accuracy = spread([100 * float(np.mean(answer.right)) for answer in answers], 1)
        rows.append((name, accuracy, spread([a.seconds for a in answers], 0), spread(ratios), *differences))
    depths = ", ".join(answer.facts["depth"]["chosen"] for answer in found[ours[-1]])
    title = f"{arguments.shots} a section, {len(units)} draws, {arguments.test} rows to test on"
    header = ("median (range) over draws", "accuracy, %", "seconds until predictions", f"times those of {first}",
              *(f"{our} is better by" for our in ours))  # fmt: skip
    return "\n\n".join([
        f"### few_shot_texts: {title}{' (SMALL: for development only)' if records.small else ''}",
        table(header, rows), f"Depths: {depths}.", machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
