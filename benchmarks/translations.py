"""English package descriptions into German: a T5 pretrained for minutes on both languages, against itself untouched,
the same network from random weights, and naive texts. Same pairs, same budget.

A million parameters and a few thousand pairs translate poorly; what is shown is what pretraining buys.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np

from common import HERE, Records, Said, machine_line, parser, table
from headstart.demo_data import synopses
from headstart.metrics.text import row_chrf
from headstart.sources.cache_dir import cache_dir
from pretrain_t5 import make
from summaries import compare

PAIRS, LONGEST = 4000, 240  # characters of a side


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--minutes", type=float, default=8.0, help="of pretraining, where there is none yet")
    made.add_argument("--budget", default="5m", help="budget of each headstart fit")
    made.add_argument("--seeds", type=int, default=1, help="splits: seeds 0, 1, …")
    arguments = made.parse_args()
    records = Records("translations", arguments.results, small=False)
    records.open(arguments)
    folder = HERE / "out" / "t5-copying-de"
    if not (folder / "pretrained" / "config.json").is_file():
        _pretrain(folder, arguments.minutes)
    columns = ["--input-column", "en", "--target-column", "de", "--group-column", "origin"]
    rows = compare(arguments, records, folder, ["--task", "translation", *columns], "chrf", row_chrf)
    title = "### translations: chrF on held-out pairs, English to German"
    print("\n\n".join([title, table(("seed", "what", "chrF, %", "95% interval or gain"), rows), machine_line()]))


def _pretrain(folder: Path, minutes: float) -> None:
    """Half of the source packages are for pretraining, both languages mixed; pairs come from the others."""
    with synopses.translated(cache_dir() / "demo", Said()).open(newline="", encoding="utf-8") as stream:
        rows = [(r["en"], r["de"], r["origin"]) for r in csv.DictReader(stream)]
    folder.mkdir(parents=True, exist_ok=True)
    sides = [hashlib.sha256(origin.encode()).digest()[0] % 2 for _, _, origin in rows]
    texts = [text for row, side in zip(rows, sides) if side for text in row[:2]]
    fitting = [row for row, side in zip(rows, sides) if not side and max(map(len, row[:2])) <= LONGEST]
    order = np.random.default_rng(0).permutation(len(fitting))[:PAIRS]
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("en", "de", "origin"), *(fitting[i] for i in order)])
    rng = np.random.default_rng(0)
    make(folder, minutes, [texts[i] for i in rng.permutation(len(texts))])


if __name__ == "__main__":
    main()
