"""What is a program for, and what does it work with? Several tags for each package description (Debian's debtags):
`headstart fit` against sentence-transformers with one logistic regression for each tag.

Half of the sources are for learning. The rival cuts each probability at a half, or at the threshold with the highest F1
on folds of its own: both are shown.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import Records, Said, machine_line, parser, spread, table
from headstart.demo_data.apt import open_private_apt, read_list
from headstart.demo_data.control_fields import stanzas
from headstart.demo_data.debian import MISSING_APT, usable_rows
from headstart.demo_data.folders import build_once
from headstart.sources.cache_dir import cache_dir
from runs import fit, fresh_cache
from splits import model_folder, rival

MODEL = "pip:all-minilm-l6-v2"
FACETS = ("use::", "works-with::")
FEWEST = 250  # packages with a tag
SEPARATOR = ";"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=3, help="draws of the rows to learn from: seeds 0, 1, …")
    made.add_argument("--rows", type=int, default=1600, help="to learn from; half as many are tested on")
    made.add_argument("--budget", default="5m", help="budget of headstart fit")
    arguments = made.parse_args()
    records = Records("tags", arguments.results, small=arguments.rows < 1600)
    records.open(arguments)
    rows = tagged(cache_dir() / "demo")
    folder, found = model_folder(MODEL), []
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        for seed in range(arguments.seeds):
            found.append(_one_seed(arguments, rows, folder, seed, Path(scratch) / str(seed)))
            records.write("seed", **found[-1])
    names = {"micro_f1": "F1 over all tags together, %", "macro_f1": "mean of the tags' F1, %",
             "map": "mean of the tags' average precision, %", "wall_s": "whole process, s"}  # fmt: skip
    systems = ("headstart", "halves", "thresholds")
    lines = [(told, *(spread([f[system][name] * (1 if name == "wall_s" else 100) for f in found], 1)
                      for system in systems)) for name, told in names.items()]  # fmt: skip
    title = f"### tags: {arguments.rows} rows to learn from, {found[0]['tags']} tags, {found[0]['each']:.1f} a row"
    header = (
        "median (range) over seeds",
        "headstart fit",
        "logistic regressions, cut at 0.5",
        "cut where F1 is highest",
    )
    print(
        "\n\n".join([title, table(header, lines), f"Depths: {', '.join(f['depth'] for f in found)}.", machine_line()])
    )


def tagged(root: Path) -> list[tuple[str, tuple[str, ...], str]]:
    """Text, tags and source of the packages that have one of the common tags."""

    def build(staging: Path, scratch: Path) -> None:
        apt = open_private_apt(scratch / "apt", "none", MISSING_APT)
        listed = "\n\n".join(read_list(path) for path in apt.lists("Packages"))
        with (staging / "tags.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            for fields in stanzas(listed):
                writer.writerow([fields.get("Package", ""), " ".join(fields.get("Tag", "").replace(",", " ").split())])

    folder = build_once(root / "debian-tags", {"facets": list(FACETS)}, 300_000_000, Said(), build)
    with (folder / "tags.csv").open(encoding="utf-8", newline="") as stream:
        tags = {name: [t for t in listed.split() if t.startswith(FACETS)] for name, listed in csv.reader(stream)}
    described = usable_rows(root, Said())
    count = Counter(tag for row in described for tag in tags.get(row.package, ()))
    common = {tag for tag, n in count.items() if n >= FEWEST}
    found = [(row.text, tuple(sorted(common & set(tags.get(row.package, ())))), row.source) for row in described]
    return [row for row in found if row[1]]


def _one_seed(
    arguments: argparse.Namespace, rows: list[tuple[str, tuple[str, ...], str]], model: Path, seed: int, scratch: Path
) -> dict[str, Any]:
    order = np.random.default_rng(seed).permutation(len(rows))
    sides: tuple[list[Any], list[Any]] = ([], [])
    for i in order:
        sides[hashlib.sha256(rows[i][2].encode()).digest()[0] % 2].append(rows[i])
    train, test = sides[0][: arguments.rows], sides[1][: arguments.rows // 2]
    tables = scratch / "train.csv", scratch / "test.csv"
    scratch.mkdir(parents=True)
    for file, side in zip(tables, (train, test)):
        with file.open("w", encoding="utf-8", newline="") as stream:
            lines = [(text, SEPARATOR.join(tags), source) for text, tags, source in side]
            csv.writer(stream).writerows([("input", "target", "group"), *lines])

    def theirs() -> Any:
        return rival("sentence_tags.py", model, tables, scratch)

    before = theirs() if seed % 2 else None
    options = [tables[0], "--test", tables[1], "--task", "multi-label-text-classification", "--model", MODEL,
               "--label-separator", SEPARATOR, "--input-column", "input", "--target-column", "target", "--group-column",
               "group", "--seed", str(seed), "--budget", arguments.budget]  # fmt: skip
    ours = fit(options, scratch / "run", fresh_cache(scratch / "cache"))
    process, answer = before or theirs()
    names = sorted({tag for _, tags, _ in train for tag in tags})
    told = {str(p["input"]): p for p in ours.predictions}
    predicted = [told[key] for key in told]
    if len(predicted) != len(test):
        raise SystemExit(f"headstart scored {len(predicted)} of {len(test)} rows; give it a larger --budget")
    truth = np.array([[name in p["target"] for name in names] for p in predicted])
    picked = np.array([[name in p["labels"] for name in names] for p in predicted])
    chances = np.array([[p["probabilities"].get(name, 0.0) for name in names] for p in predicted])
    real = np.array([[name in tags for name in names] for _, tags, _ in test])
    others = np.array(answer["probabilities"])[:, [answer["names"].index(name) for name in names]]
    cut = np.array([answer["thresholds"][answer["names"].index(name)] for name in names])
    return {
        "seed": seed, "tags": len(names), "each": float(real.sum(1).mean()), "depth": ours.depth["chosen"],
        "why": ours.depth["why"], "rungs": ours.depth["rungs"],
        "headstart": {**scores(truth, picked, chances), "wall_s": ours.process.wall_s},
        "halves": {**scores(real, others > 0.5, others), "wall_s": process.wall_s},
        "thresholds": {**scores(real, others >= cut, others), "wall_s": process.wall_s},
    }  # fmt: skip


def scores(truth: NDArray[np.bool_], picked: NDArray[np.bool_], chances: NDArray[np.float64]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, f1_score

    return {"micro_f1": float(f1_score(truth, picked, average="micro")),
            "macro_f1": float(f1_score(truth, picked, average="macro", zero_division=0)),
            "map": float(average_precision_score(truth, chances, average="macro"))}  # fmt: skip


if __name__ == "__main__":
    main()
