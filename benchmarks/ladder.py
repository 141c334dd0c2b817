"""ELPV solar cells: what `headstart fit` reaches in two budgets, against logistic regression and fastai's fine_tune.

Splits as in elpv_head.py. Every fit starts with an empty cache. The systems of a seed run one after another; the next
seed starts with the next system.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import Records, Said, machine_line, parser, spread, table
from elpv_head import COMPARISON
from headstart.settings import parse_budget
from headstart.sources.cache_dir import cache_dir
from headstart.types import Example
from rival_env import rival_python
from runs import fit_tables
from splits import check_same_rows, model_folder, read_rows, rival, split_rows, write_tables

FASTAI = "fastai fine_tune(5)"
RIVALS = {"timm": COMPARISON.rival_name, "fastai": FASTAI}
Facts = dict[str, Any]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=5, help="number of splits: seeds 0, 1, … or from --first")
    made.add_argument("--first", type=int, default=0, help="the first of these seeds")
    made.add_argument("--limit", type=int, help="use that many rows only (for development; marked small)")
    made.add_argument("--budgets", nargs="+", default=["5m", "10m"], help="budgets of headstart fit")
    made.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS), help="rivals to run as well")
    made.add_argument("--depth", default="auto", help="depth of headstart fit")
    made.add_argument(
        "--model", default=COMPARISON.model, help="network of headstart fit, or auto: whichever fits best"
    )
    arguments = made.parse_args()
    python = rival_python("fastai") if "fastai" in arguments.rivals else None
    records = Records("ladder", arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    found: dict[str, list[Facts]] = {}
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        data = COMPARISON.prepare(cache_dir() / "demo", Said())
        dataset = read_rows(data, COMPARISON.columns, arguments.limit, Path(scratch))
        model = model_folder(COMPARISON.model)
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            train, test = split_rows(dataset, seed, COMPARISON.test_size)
            systems = _systems(arguments, python, model, train, test, seed, Path(scratch) / str(seed))
            turn = seed % len(systems)
            for name in (*list(systems)[turn:], *list(systems)[:turn]):
                facts = {"system": name, "seed": seed, "train": len(train), "test": len(test), **systems[name]()}
                found.setdefault(name, []).append(facts)
                records.write("run", **facts)
    found = {name: found[name] for name in systems}
    reached = _reached(found)
    records.write("summary", reached=reached)
    print(_report(found, reached, records.small))


def _systems(arguments: argparse.Namespace, python: Path | None, model: Path, train: Sequence[Example],
             test: Sequence[Example], seed: int, scratch: Path) -> dict[str, Callable[[], Facts]]:  # fmt: skip
    """Name -> what runs that system on this split; budgets from the smallest."""
    tables = write_tables(train, test, scratch)

    def ours(budget: str) -> Facts:
        options = ["--depth", arguments.depth, "--seed", str(seed), "--budget", budget]
        found = fit_tables(tables, scratch / f"fit-{budget}", COMPARISON.task, arguments.model, options)
        check_same_rows(test, found.targets)
        right = [p["label"] == e.target for p, e in zip(found.predictions, test)]
        over = found.process.wall_s - parse_budget(budget)
        return {"accuracy": float(np.mean(right)), "wall_s": found.process.wall_s, "cpu_s": found.process.cpu_s,
                "core_s": found.core_s, "budget_s": parse_budget(budget), "overrun_s": over, "depth": found.depth,
                "timing": found.result["timing"], "warnings": found.result["warnings"]}  # fmt: skip

    def theirs(script: str, **place: Path) -> Facts:
        process, answer = rival(script, model, tables, scratch, **place)
        right = [label == e.target for label, e in zip(answer["predictions"], test)]
        facts = {"accuracy": float(np.mean(right)), "wall_s": process.wall_s, "cpu_s": process.cpu_s}
        return facts | {k: v for k, v in answer.items() if k not in ("targets", "predictions")}

    def fastai() -> Facts:
        assert python is not None
        facts = theirs("fastai_finetune.py", python=python)
        # its validation after each epoch serves our curve only: the rival is not charged for it
        validating = facts["epochs"][-1]["validate_s"]
        return {**facts, "whole_process_s": facts["wall_s"], "wall_s": facts["wall_s"] - validating}

    systems: dict[str, Callable[[], Facts]] = {}
    for budget in sorted(arguments.budgets, key=parse_budget):
        systems[f"headstart, {budget}"] = lambda budget=budget: ours(budget)  # type: ignore[misc]
    if "timm" in arguments.rivals:
        systems[RIVALS["timm"]] = lambda: theirs(COMPARISON.rival)
    if "fastai" in arguments.rivals:
        systems[FASTAI] = fastai
    return systems


def _reached(found: dict[str, list[Facts]]) -> Facts | None:
    """The smallest budget whose mean accuracy reaches fastai's, and our seconds over fastai's in each seed."""
    if FASTAI not in found:
        return None
    wanted = _mean(found[FASTAI])
    for name, runs in found.items():
        if "budget_s" in runs[0] and _mean(runs) >= wanted:
            shares = [ours["wall_s"] / theirs["wall_s"] for ours, theirs in zip(runs, found[FASTAI])]
            return {"system": name, "accuracy": _mean(runs), "fastai": wanted, "share_of_its_time": shares}
    return {"system": None, "fastai": wanted}


def _mean(runs: Sequence[Facts]) -> float:
    return float(np.mean([r["accuracy"] for r in runs]))


def _report(found: dict[str, list[Facts]], reached: Facts | None, small: bool) -> str:
    rows = []
    for name, runs in found.items():
        accuracy = [100 * r["accuracy"] for r in runs]
        over = spread([r["overrun_s"] for r in runs], 0) if "budget_s" in runs[0] else ""
        depths = [r["depth"]["chosen"] for r in runs] if "depth" in runs[0] else []
        chosen = ", ".join(f"{d} ×{depths.count(d)}" for d in dict.fromkeys(depths))
        wall = spread([r["wall_s"] for r in runs], 0)
        rows.append((name, f"{np.mean(accuracy):.2f}", spread(accuracy, 1), wall, over, chosen))
    first, seeds = next(iter(found.values()))[0], max(len(runs) for runs in found.values())
    title = f"ladder: ELPV, {first['train']} rows to learn from, {first['test']} to test on, {seeds} seed(s)"
    header = ("", "accuracy, mean %", "median (range)", "whole process, s", "over its budget, s", "depth chosen")
    parts = [f"### {title}{' (SMALL: for development only)' if small else ''}", table(header, rows)]
    parts += [_rungs(found), _curve(found[FASTAI]) if FASTAI in found else "", _verdict(reached), machine_line()]
    return "\n\n".join(part for part in parts if part)


def _rungs(found: dict[str, list[Facts]]) -> str:
    """Development score and cost of every rung that was tried."""
    rows = []
    for name, runs in found.items():
        rungs = [rung for r in runs if "depth" in r for rung in r["depth"]["rungs"]]
        for rung in dict.fromkeys(r["name"] for r in rungs):
            tried = [r for r in rungs if r["name"] == rung]
            score, cost = (spread([r[key] for r in tried], digits) for key, digits in (("score", 4), ("seconds", 1)))
            kept = sum(r["chosen"] for r in tried)
            rows.append((name, rung, len(tried), kept, f"{tried[0]['metric']} {score}", cost))
    header = ("", "rung", "seeds that tried it", "chosen", "score on development rows", "its cost, s")
    return table(header, rows) if rows else ""


def _curve(runs: Sequence[Facts]) -> str:
    """Accuracy of fastai after each epoch; epoch 0 is the frozen one."""
    rows = []
    for number, epochs in enumerate(zip(*(r["epochs"] for r in runs))):
        elapsed = [r["seconds"]["load"] + e["train_s"] for r, e in zip(runs, epochs)]
        rows.append((number, spread(elapsed, 0), spread([100 * e["accuracy"] for e in epochs], 1)))
    header = (f"{FASTAI}, epoch", "seconds since its start, validation left out", "accuracy, %")
    return table(header, rows)


def _verdict(reached: Facts | None) -> str:
    if reached is None:
        return ""
    wanted = f"the mean accuracy of {FASTAI}, {100 * reached['fastai']:.2f}%"
    if reached["system"] is None:
        return f"No budget reached {wanted}."
    shares = spread(reached["share_of_its_time"])
    return (f"{reached['system']} is the smallest budget that reaches {wanted} ({100 * reached['accuracy']:.2f}%): "
            f"in {shares} of its seconds, whole processes, without fastai's validation.")  # fmt: skip


if __name__ == "__main__":
    main()
