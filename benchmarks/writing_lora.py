"""Package descriptions to their synopsis by SmolLM2 with low-rank changes to its last third: headstart on cached
states, against transformers and peft, as usual and strengthened. Same pairs, adapters and epochs.

headstart is a whole `headstart fit --depth lora` whose plan fixes the epochs: its examples a second are those of its
last training, and once more with the pass that caches the states counted in.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from common import HERE, Records, Said, machine_line, parser, table
from headstart.demo_data import debian, synopses
from headstart.metrics.intervals import paired_difference
from headstart.metrics.text import row_rouge
from headstart.sources.cache_dir import cache_dir
from runs import fit, fresh_cache

MODEL = "pip:smollm2-135m-instruct"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=300, help="pairs to learn from")
    made.add_argument("--test", type=int, default=100, help="pairs to score on")
    made.add_argument("--epochs", type=int, default=2)
    made.add_argument("--budget", default="30m", help="budget of headstart fit")
    arguments = made.parse_args()
    records = Records("writing_lora", arguments.results, small=arguments.rows < 300)
    records.open(arguments)
    found = synopses.pairs(debian.usable_rows(cache_dir() / "demo", Said()))
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        place = Path(scratch)
        tables = place / "train.csv", place / "test.csv"
        synopses.write_pairs(found[: arguments.rows], tables[0])
        synopses.write_pairs(found[arguments.rows : arguments.rows + arguments.test], tables[1])
        ours = _ours(arguments, tables, place)
        records.write("run", system="headstart", **{k: v for k, v in ours.items() if k != "texts"})
        rivals = {}
        for kind in ("stock", "strengthened"):
            rivals[kind] = _rival(arguments, tables, place, kind)
            records.write("run", system=kind, **{k: v for k, v in rivals[kind].items() if k != "texts"})
    print(_report(ours, rivals))


def _ours(arguments: Any, tables: tuple[Path, Path], place: Path) -> dict[str, Any]:
    plan = place / "plan.json"
    rungs = [{"name": "lora", "folds": 1, "epochs": arguments.epochs}]
    plan.write_text(json.dumps({"rungs": rungs, "decoding": 1}))  # greedy, as the rivals
    options = [tables[0], "--test", tables[1], "--task", "summarization", "--model", MODEL, "--depth", "lora",
               "--budget", arguments.budget, "--plan", plan, "--group-column", "origin"]  # fmt: skip
    done = fit(options, place / "run", fresh_cache(place / "cache"))
    trained = [e for e in done.log if e["event"] == "trained" and not e["stopped"]][-1]
    epochs = len(trained["curve"])
    per_s = epochs * arguments.rows / trained["train_seconds"]
    cached_s = next(e["extraction_seconds"] for e in done.log if e["event"] == "features")
    rouge = {p["input"]: row_rouge(p["target"], p["text"])["rougeL"] for p in done.predictions}
    return {"epochs": epochs, "examples_per_s": per_s, "cached_s": cached_s, "rouge": list(rouge.values()),
            "with_caching_per_s": epochs * arguments.rows / (trained["train_seconds"] + cached_s),
            "wall_s": done.process.wall_s, "texts": list(rouge), "evidence": done.result["evidence"]}  # fmt: skip


def _rival(arguments: Any, tables: tuple[Path, Path], place: Path, kind: str) -> dict[str, Any]:
    answer = place / f"{kind}.json"
    script = HERE / "rivals" / "peft_lora.py"
    command = [sys.executable, script, cache_dir() / "models" / MODEL.removeprefix("pip:"), *tables, answer, kind,
               arguments.epochs, 0]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True, stderr=sys.stderr)
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def _report(ours: dict[str, Any], rivals: dict[str, dict[str, Any]]) -> str:
    mine = np.array(ours["rouge"])
    rows: list[tuple[Any, ...]] = [
        (
            "headstart",
            f"{ours['examples_per_s']:.2f}",
            f"{ours['with_caching_per_s']:.2f}",
            f"{100 * mine.mean():.1f}",
            "",
        )
    ]
    for kind, found in rivals.items():
        theirs = np.array(found["rouge"])
        gain = paired_difference(mine, theirs, np.ones(len(mine)), np.arange(len(mine)), np.random.default_rng(0),
                                 level=0.95)  # fmt: skip
        told = f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        speed = f"{ours['examples_per_s'] / found['examples_per_s']:.1f} times"
        rows.append((f"peft, {kind}", f"{found['examples_per_s']:.2f}", speed, f"{100 * theirs.mean():.1f}", told))
    columns = ("system", "examples a second", "with caching, or ours over it", "ROUGE-L, %", "ours over it")
    title = f"### writing_lora: SmolLM2 on package synopses, {len(mine)} test rows"
    return "\n\n".join([title, table(columns, rows), machine_line()])


if __name__ == "__main__":
    main()
