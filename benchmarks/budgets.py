"""`headstart fit` at budgets from 20 seconds to 10 minutes: is the budget kept, what share of it do controls and checks
take, and is there a model that predicts?
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import Records, machine_line, parser, run_process, table
from headstart.settings import parse_budget
from runs import TABLED, Job, demo_jobs, fit, fresh_cache

CONTROLS_SHARE = 0.15  # of the budget at most: baselines, controls, label curve, scratch, and looking for faults
TOLERANCE_SHARE, TOLERANCE_S = 0.1, 5.0  # the larger of the two may be overrun


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--demos", nargs="+", choices=TABLED, default=["images", "text", "speech"])
    made.add_argument("--budgets", nargs="+", default=["20s", "1m", "3m", "10m"], help="budgets of headstart fit")
    made.add_argument("--model", default="auto", help="model of headstart fit")
    made.add_argument("--seeds", type=int, default=1, help="runs of each: seeds 0, 1, …")
    made.add_argument("--limit", type=int, help="use that many rows only (for development; marked small)")
    arguments = made.parse_args()
    records = Records("budgets", arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    found = []
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        jobs = demo_jobs(arguments.limit, Path(scratch), arguments.demos)
        for seed in range(arguments.seeds):
            for job in jobs:
                for budget in arguments.budgets:
                    folder = Path(scratch) / f"{job.name}-{budget}-{seed}"
                    found.append({"demo": job.name, "budget": budget, "seed": seed,
                                  **_one(arguments, job, budget, seed, folder)})  # fmt: skip
                    records.write("run", **found[-1])
    print(_report(found, records.small))


def _one(arguments: argparse.Namespace, job: Job, budget: str, seed: int, folder: Path) -> dict[str, Any]:
    """One fit with an empty cache, then predictions; a failure becomes a fact, so that the others are measured."""
    options = [*job.options, "--budget", budget, "--seed", str(seed), "--model", arguments.model]
    try:
        done = fit(options, folder / "run", fresh_cache(folder / "cache"))
    except SystemExit as fault:
        return {"fault": str(fault), "kept": False, "predicts": False}
    limit_s, wall_s, result = parse_budget(budget), done.process.wall_s, done.result
    over = wall_s - limit_s
    return {"fault": "", "wall_s": wall_s, "overrun_s": over,
            "kept": over <= max(TOLERANCE_SHARE * limit_s, TOLERANCE_S), "depth": done.depth,
            "model": result["model"]["id"], "metric": result["headline_metric"], "split": result["headline_split"],
            "score": result["metrics"][result["headline_split"]][result["headline_metric"]], "timing": result["timing"],
            "controls_s": result["controls_seconds"] + result["timing"]["find"] + result["timing"]["prove"],
            "limit_s": limit_s, "status": result["status"], "warnings": result["warnings"],
            "predicts": _predicts(folder / "run", job.inputs)}  # fmt: skip


def _predicts(run: Path, inputs: tuple[str, ...]) -> bool:
    """Whether the saved model answers for two inputs."""
    try:
        done = run_process([sys.executable, "-m", "headstart", "predict", run, *inputs])
    except SystemExit as fault:
        print(fault, file=sys.stderr)
        return False
    rows = [json.loads(line) for line in done.output.splitlines()]
    return len(rows) == 2 and all("error" not in row and ("label" in row or "text" in row) for row in rows)


def _report(found: list[dict[str, Any]], small: bool) -> str:
    rows = []
    for f in found:
        if f["fault"]:
            rows.append((f["demo"], f["budget"], f["seed"], "", "", "FAILED", "", "", "", f["fault"][-120:], "no"))
            continue
        score = f["score"]
        interval = f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
        rows.append((f["demo"], f["budget"], f["seed"], f"{f['wall_s']:.1f}", f"{f['overrun_s']:+.1f}",
                     "yes" if f["kept"] else "NO", f"{f['controls_s'] / f['limit_s']:.1%}",
                     f["depth"]["chosen"], f["model"],
                     f"{f['metric']} {interval}, {f['split']}", "yes" if f["predicts"] else "NO"))  # fmt: skip
    header = ("data", "budget", "seed", "whole process, s", "over, s", "kept", "controls and checks",
              "depth chosen", "model",
              "score (95% interval)", "predicts")  # fmt: skip
    kept, predicts = (sum(f[key] for f in found) for key in ("kept", "predicts"))
    shares = [f["controls_s"] / f["limit_s"] for f in found if not f["fault"]]
    few = sum(share <= CONTROLS_SHARE for share in shares)
    verdict = (f"Bar: overrun at most {TOLERANCE_SHARE:.0%} or {TOLERANCE_S:.0f} s, whichever is more: kept in {kept} "
               f"of {len(found)}. A saved model that predicts: {predicts} of {len(found)}. "
               f"Controls and checks at most {CONTROLS_SHARE:.0%} of the budget: {few} of {len(shares)}.")  # fmt: skip
    title = f"budgets: {len(found)} fits of the demos' data, empty caches"
    return "\n\n".join([f"### {title}{' (SMALL: for development only)' if small else ''}", table(header, rows), verdict,
                        machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
