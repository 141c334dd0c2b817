"""The same `headstart fit` twice on unchanged data with one cache: what the second costs. Data of the three demos."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import Records, machine_line, parser, spread, table
from runs import TABLED, Job, demo_jobs, fit, fresh_cache


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--demos", nargs="+", choices=TABLED, default=["images", "text", "speech"])
    made.add_argument("--depths", nargs="+", default=["head", "auto"], help="depths of headstart fit")
    made.add_argument("--budget", default="3m", help="budget of headstart fit")
    made.add_argument("--model", default="auto", help="model of headstart fit")
    made.add_argument("--repeats", type=int, default=1, help="pairs of runs; each begins with an empty cache")
    made.add_argument("--limit", type=int, help="use that many rows only (for development; marked small)")
    arguments = made.parse_args()
    records = Records("second_fit", arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        jobs = demo_jobs(arguments.limit, Path(scratch), arguments.demos)
        for number in range(arguments.repeats):
            for job in jobs:
                for depth in arguments.depths:
                    folder = Path(scratch) / f"{job.name}-{depth}-{number}"
                    facts = {"demo": job.name, "depth": depth, "repeat": number, **_pair(arguments, job, depth, folder)}
                    found.setdefault((job.name, depth), []).append(facts)
                    records.write("pair", **facts)
    print(_report(found, arguments, records.small))


def _pair(arguments: argparse.Namespace, job: Job, depth: str, folder: Path) -> dict[str, Any]:
    """Two runs that differ in the name of the run folder only."""
    cache = fresh_cache(folder / "cache")
    options = [*job.options, "--depth", depth, "--budget", arguments.budget, "--model", arguments.model]
    facts: dict[str, Any] = {}
    for name in ("first", "second"):
        done = fit(options, folder / name, cache)
        facts[name] = {"wall_s": done.process.wall_s, "core_s": done.core_s, "cpu_s": done.process.cpu_s,
                       "cache": done.result["cache"], "timing": done.result["timing"], "depth": done.depth,
                       "model": done.result["model"]["id"], "engine": done.result["engine"]}  # fmt: skip
    return facts


def _report(found: dict[tuple[str, str], list[dict[str, Any]]], arguments: argparse.Namespace, small: bool) -> str:
    rows, missed = [], 0
    for (demo, depth), pairs in found.items():
        seconds = [[p[name]["wall_s"] for p in pairs] for name in ("first", "second")]
        until = spread([p["first"]["core_s"] / p["second"]["core_s"] for p in pairs])
        caches = pairs[-1]["first"]["cache"], pairs[-1]["second"]["cache"]
        # another engine's features are not taken from the cache
        engines = ", ".join(pairs[-1][name]["engine"]["name"] for name in ("first", "second"))
        missed += sum(p["second"]["cache"]["misses"] > 0 for p in pairs)
        rows.append((demo, depth, *(spread(s, 1) for s in seconds),
                     spread([a / b for a, b in zip(*seconds)]), until,
                     *(f"{c['hits']} / {c['misses']}" for c in caches), engines))  # fmt: skip
    header = ("data", "--depth", "first, s", "second, s", "first / second", "the same until predictions",
              "cache hits / misses, first", "second", "engines")  # fmt: skip
    verdict = "Bar: no misses in the second run: " + ("met." if not missed else f"MISSED in {missed} pair(s).")
    title = f"second_fit: unchanged data, one cache, budget {arguments.budget}, {arguments.repeats} pair(s) each"
    note = "With --depth auto tuning may take what the cache has saved, up to the budget."
    return "\n\n".join([f"### {title}{' (SMALL: for development only)' if small else ''}", table(header, rows), note,
                        verdict, machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
