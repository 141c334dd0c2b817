"""Long package descriptions to their synopsis: a T5 pretrained for minutes, against itself untouched, the same network
from random weights, and naive texts. Same pairs, same budget.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import HERE, Records, machine_line, parser, table
from headstart.metrics.intervals import paired_difference
from headstart.metrics.text import row_rouge
from pretrain_t5 import pretrain
from runs import fit, fresh_cache


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--minutes", type=float, default=8.0, help="of pretraining, where there is none yet")
    made.add_argument("--budget", default="4m", help="budget of each headstart fit")
    made.add_argument("--seeds", type=int, default=1, help="splits: seeds 0, 1, …")
    arguments = made.parse_args()
    records = Records("summaries", arguments.results, small=False)
    records.open(arguments)
    folder = HERE / "out" / "t5-copying"
    if not (folder / "pretrained" / "config.json").is_file():
        pretrain(folder, arguments.minutes)
    rows = compare(arguments, records, folder, [], "rouge_l", lambda target, text: row_rouge(target, text)["rougeL"])
    title = "### summaries: ROUGE-L on held-out pairs"
    print("\n\n".join([title, table(("seed", "what", "ROUGE-L, %", "95% interval or gain"), rows), machine_line()]))


def compare(
    arguments: argparse.Namespace,
    records: Records,
    folder: Path,
    options: Sequence[str],
    metric: str,
    score_row: Callable[[str, str], float],
) -> list[tuple[Any, ...]]:
    """Fit the folder's pairs.csv from pretrained and from random weights with every seed: lines of the table."""
    rows: list[tuple[Any, ...]] = []
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        for seed in range(arguments.seeds):
            found = {}
            for name in ("pretrained", "random"):
                place = Path(scratch) / f"{name}-{seed}"
                given = [folder / "pairs.csv", *options, "--model", folder / name, "--budget", arguments.budget,
                         "--seed", str(seed)]  # fmt: skip
                found[name] = done = fit(given, place / "run", fresh_cache(place / "cache"))
                records.write("run", system=name, seed=seed, wall_s=done.process.wall_s, depth=done.depth,
                              metrics=done.result["metrics"], evidence=done.result["evidence"],
                              warnings=done.result["warnings"])  # fmt: skip
            rows += rows_of(found, seed, metric, score_row)
    return rows


def rows_of(
    found: dict[str, Any], seed: int, metric: str, score_row: Callable[[str, str], float]
) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []
    for name, done in found.items():
        score = done.result["metrics"]["test"][metric]
        what = f"headstart from {name} weights, depth {done.depth['chosen']}, {done.process.wall_s:.0f} s"
        made.append(
            (seed, what, f"{100 * score['value']:.1f}", f"{100 * score['low']:.1f} to {100 * score['high']:.1f}")
        )
    evidence = found["pretrained"].result["evidence"]
    for who in ("naive", "control"):
        if evidence[who]:
            value, gain = evidence[who]["metrics"][metric], evidence[who]["gain"]
            told = f"ours {100 * gain['value']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
            made.append((seed, evidence[who]["name"], f"{100 * value['value']:.1f}", told))
    gain = _paired(found, score_row)
    told = f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    made.append((seed, "pretrained over random weights, paired", "", told))
    return made


def _paired(found: dict[str, Any], score_row: Callable[[str, str], float]) -> Any:
    """Scores of both on the same texts."""
    both = []
    for done in found.values():
        both.append({p["input"]: score_row(p["target"], p["text"]) for p in done.predictions})
    names = sorted(set(both[0]) & set(both[1]))
    tops = [np.array([scores[name] for name in names]) for scores in both]
    return paired_difference(tops[0], tops[1], np.ones(len(names)), np.arange(len(names)), np.random.default_rng(0),
                             level=0.95)  # fmt: skip


if __name__ == "__main__":
    main()
