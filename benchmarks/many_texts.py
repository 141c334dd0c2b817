"""Short texts, ten thousand to a million: what `headstart fit` and `headstart predict` take of memory and time.

Each text is a run of words from a package description, with its section. Budgets hold a part of so many rows; what is
measured is whether reading, splitting and answering them stays within bounds.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import Records, Said, machine_line, parser, run_process, table
from headstart.demo_data import debian
from headstart.settings import parse_budget
from headstart.sources.cache_dir import cache_dir
from memory import Sampler
from runs import fit, fresh_cache, read_csv

MODEL = "pip:all-minilm-l6-v2"
WORDS = 10  # of a text
ANSWERED = 20_000  # rows that `headstart predict` is given


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="numbers of texts")
    made.add_argument("--budget", default="5m", help="budget of headstart fit")
    arguments = made.parse_args()
    records = Records("many_texts", arguments.results, small=max(arguments.sizes) < 1_000_000)
    records.open(arguments)
    found = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
            found.append({"texts": size, **_one(arguments, size, Path(scratch))})
        records.write("run", **found[-1])
    print(_report(found, arguments.budget, records.small))


def _one(arguments: argparse.Namespace, size: int, scratch: Path) -> dict[str, Any]:
    data = write_texts(size, scratch / "texts.csv")
    options = [data, "--model", MODEL, "--budget", arguments.budget, "--input-column", "text",
               "--target-column", "section"]  # fmt: skip
    with Sampler() as sampler:
        done = fit(options, scratch / "run", fresh_cache(scratch / "cache"))
    part = write_texts(min(size, ANSWERED), scratch / "new.csv")
    with Sampler() as predicting:
        answered = run_process([sys.executable, "-m", "headstart", "predict", scratch / "run", part])
    lines = answered.output.count("\n")
    if lines != min(size, ANSWERED):
        raise SystemExit(f"headstart predict gave {lines} answers for {min(size, ANSWERED)} texts. Report this fault.")
    result = done.result
    return {"bytes": sampler.peaks["RssAnon"], "wall_s": done.process.wall_s,
            "overrun_s": done.process.wall_s - parse_budget(arguments.budget), "timing": result["timing"],
            "used": result["data"]["used"], "accuracy": result["metrics"]["test"]["accuracy"],
            "depth": result["depth"]["chosen"], "warnings": result["warnings"],
            "predict_s": answered.wall_s, "predict_bytes": predicting.peaks["RssAnon"], "answers": lines}  # fmt: skip


def write_texts(size: int, file: Path) -> Path:
    """A table of runs of words from package descriptions, each with the package's section."""
    rows = read_csv(debian.prepare(cache_dir() / "demo", Said()))
    words = [row["text"].split() for row in rows]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "section"])
        for number in range(size):
            turn, at = divmod(number, len(rows))
            start = turn * 3 % max(1, len(words[at]) - WORDS)
            writer.writerow([f"{' '.join(words[at][start : start + WORDS])} {number}", rows[at]["section"]])
    return file


def _report(found: list[dict[str, Any]], budget: str, small: bool) -> str:
    rows = [(f"{f['texts']:,}", f"{f['bytes'] / 1e6:.0f}", f"{f['timing']['read and check']:.0f}", f"{f['wall_s']:.0f}",
             f"{max(0.0, f['overrun_s']):.0f}", f["depth"], f"{100 * f['accuracy']['value']:.1f}",
             f"{f['answers'] / f['predict_s']:.0f}", f"{f['predict_bytes'] / 1e6:.0f}") for f in found]  # fmt: skip
    header = ("texts", "peak memory of fit, MB", "reading and checking, s", "whole process, s", "over its budget, s",
              "depth", "accuracy, %", "answers of predict a second", "its peak memory, MB")  # fmt: skip
    told = [f"{f['texts']:,} texts: {' '.join(f['warnings'])}" for f in found if f["warnings"]]
    title = f"many_texts: runs of {WORDS} words, {MODEL}, --budget {budget}"
    return "\n\n".join([f"### {title}{' (SMALL: for development only)' if small else ''}", table(header, rows),
                        "Memory of all processes together, without mapped files.", *told, machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
