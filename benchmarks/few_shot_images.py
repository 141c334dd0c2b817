"""Ten pictures a class: `headstart fit` against logistic regression on the same network's frozen features.

Emoji of ten classes (emoji.py), whose pictures look little like the photographs that the network was pretrained on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import emoji
from common import Records, Said, crossed_interval, machine_line, parser, points, spread, table
from headstart.sources.cache_dir import cache_dir
from headstart.types import Example
from runs import fit_tables
from splits import check_same_rows, model_folder, rival, write_tables

TASK, MODEL = "image-classification", "pip:efficientnet-lite0"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=10, help="draws of the pictures to learn from: seeds 0, 1, …")
    made.add_argument("--shots", type=int, default=10, help="pictures of each class to learn from")
    made.add_argument("--budget", default="2m", help="budget of headstart fit")
    arguments = made.parse_args()
    records = Records("few_shot_images", arguments.results, small=arguments.seeds < 10)
    records.open(arguments)
    rows = emoji.target_rows(emoji.prepare(cache_dir() / "demo", Said()))
    folder, found = model_folder(MODEL), []
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        for seed in range(arguments.seeds):
            found.append(_one_seed(arguments, rows, folder, seed, Path(scratch) / str(seed)))
            records.write("seed", **{k: v for k, v in found[-1].items() if k not in ("right", "units")})
    seeds = [f["seed"] for f in found for _ in f["units"]]
    units = [u for f in found for u in f["units"]]
    differences = [float(a) - float(b) for f in found for a, b in zip(*f["right"])]
    gain = crossed_interval(seeds, units, differences, [1.0] * len(units))
    records.write("summary", gain=dict(zip(("value", "low", "high"), gain)))
    made_of = f"{arguments.shots} a class, {len(found)} draws, {spread([len(f['units']) for f in found], 0)} to test on"
    shares = [spread([100 * float(np.mean(f["right"][i])) for f in found], 1) for i in (0, 1)]
    times = [spread([f[name] for f in found], 0) for name in ("wall_s", "rival_s")]
    depths = ", ".join(f["depth"] for f in found)
    print("\n\n".join([
        f"### few_shot_images: {made_of}{' (SMALL: for development only)' if records.small else ''}",
        table(("median (range) over draws", "headstart fit", "timm eager + LogisticRegressionCV", "difference"),
              [("accuracy, %", *shares, points(gain)), ("whole process, s", *times, "")]),
        f"Depths: {depths}.", machine_line()]))  # fmt: skip


def _one_seed(
    arguments: argparse.Namespace, rows: list[tuple[Path, str]], model: Path, seed: int, scratch: Path
) -> dict[str, Any]:
    """Both systems on one draw; even seeds start with headstart."""
    rng, train, test = np.random.default_rng(seed), [], []
    for label in sorted({label for _, label in rows}):
        of_class = [Example(p.name, str(p), label, p.stem, p.stem) for p, name in rows if name == label]
        order = rng.permutation(len(of_class))
        train += [of_class[i] for i in order[: arguments.shots]]
        test += [of_class[i] for i in order[arguments.shots :]]
    tables = write_tables(train, test, scratch)
    options = ["--seed", str(seed), "--budget", arguments.budget]

    def theirs() -> Any:
        return rival("timm_logistic.py", model, tables, scratch)

    before = theirs() if seed % 2 else None
    ours = fit_tables(tables, scratch / "fit", TASK, MODEL, options)
    process, answer = before or theirs()
    check_same_rows(test, ours.targets, answer["targets"])
    right = [[p["label"] == e.target for p, e in zip(ours.predictions, test)],
             [label == e.target for label, e in zip(answer["predictions"], test)]]  # fmt: skip
    return {"seed": seed, "right": right, "units": [e.group for e in test], "accuracy": float(np.mean(right[0])),
            "rival_accuracy": float(np.mean(right[1])), "wall_s": ours.process.wall_s, "rival_s": process.wall_s,
            "depth": ours.depth["chosen"], "why": ours.depth["why"], "rungs": ours.depth["rungs"]}  # fmt: skip


if __name__ == "__main__":
    main()
