"""Phone prompts: `headstart fit` against the untouched Whisper tiny.en, run by transformers' stock pipeline."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Records, Said, crossed_interval, machine_line, parser, points, spread, table
from headstart.demo_data import prompts
from headstart.metrics.speech import english_normalise, normalise, row_errors
from headstart.sources.cache_dir import cache_dir
from headstart.types import Example
from runs import Fit, fit_tables
from splits import check_same_rows, model_folder, read_rows, rival, write_tables

MODEL = "pip:whisper-tiny.en"
TASK = "speech-recognition"
NORMALISERS: dict[str, Callable[[str], str]] = {"wer": normalise, "wer_english_normaliser": english_normalise}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=1, help="number of fits: seeds 0, 1, … (the split is given)")
    made.add_argument("--limit", type=int, help="use that many recordings a side (for development; marked small)")
    made.add_argument("--budget", default="10m", help="budget of headstart fit")
    arguments = made.parse_args()
    records = Records("speech_decoder", arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        data = prompts.prepare(cache_dir() / "demo", Said())
        train, test = (_side(data / name, arguments.limit, Path(scratch)) for name in ("train", "test"))
        folder = model_folder(MODEL)
        found = []
        for seed in range(arguments.seeds):
            found.append(_one_seed(arguments, train, test, folder, seed, Path(scratch) / str(seed)))
            records.write("seed", **{k: v for k, v in found[-1].items() if k != "rows"})
    differences = {name: _difference(found, test, name) for name in NORMALISERS}
    records.write("summary", differences={k: dict(zip(("value", "low", "high"), v)) for k, v in differences.items()})
    print(_table(found, differences, len(train), len(test), records.small))


def _side(folder: Path, limit: int | None, scratch: Path) -> list[Example]:
    columns = {"input": "file_name", "target": "transcription"}
    return list(read_rows(folder, columns, limit, scratch, TASK).examples)


def _one_seed(
    arguments: argparse.Namespace, train: list[Example], test: list[Example], model: Path, seed: int, scratch: Path
) -> dict[str, Any]:
    """Both systems; even seeds start with headstart, odd ones with the untouched model."""
    tables = write_tables(train, test, scratch)
    options = ["--seed", str(seed), "--budget", arguments.budget]

    def ours_run() -> Fit:
        return fit_tables(tables, scratch / "fit", TASK, MODEL, options)

    if seed % 2 == 0:
        ours = ours_run()
        process, theirs = rival("whisper_pipeline.py", model, tables, scratch)
    else:
        process, theirs = rival("whisper_pipeline.py", model, tables, scratch)
        ours = ours_run()
    check_same_rows(test, ours.targets, theirs["targets"])
    rows = {name: _rows(test, ours, theirs["predictions"], name) for name in NORMALISERS}
    result = ours.result
    return {
        "seed": seed, "first": "rival" if seed % 2 else "headstart", "train": len(train), "test": len(test),
        "rows": rows,
        "headstart": {**{name: _rate(rows[name], 0) for name in NORMALISERS}, "wall_s": ours.process.wall_s,
                      "cpu_s": ours.process.cpu_s, "core_s": ours.core_s, "timing": result["timing"],
                      "result_json": result["metrics"]["test"], "depth": result["depth"]["chosen"],
                      "why": result["depth"]["why"], "engine": result["engine"], "warnings": result["warnings"]},
        "untouched": {**{name: _rate(rows[name], 1) for name in NORMALISERS}, "wall_s": process.wall_s,
                      "cpu_s": process.cpu_s, "seconds": theirs["seconds"]},
    }  # fmt: skip


def _rows(test: list[Example], ours: Fit, theirs: list[str], name: str) -> list[tuple[int, int, int]]:
    """(our errors, their errors, words) of each test row."""
    counted = []
    for example, mine, other in zip(test, ours.predictions, theirs):
        errors, words = row_errors(example.target or "", mine["text"], NORMALISERS[name])
        counted.append((errors, row_errors(example.target or "", other, NORMALISERS[name])[0], words))
    return counted


def _rate(rows: list[tuple[int, int, int]], system: int) -> float:
    return sum(row[system] for row in rows) / max(1, sum(row[2] for row in rows))


def _difference(found: list[dict[str, Any]], test: list[Example], name: str) -> tuple[float, float, float]:
    """The word error rate of headstart less the untouched model's; negative is better."""
    seeds = [f["seed"] for f in found for _ in test]
    units = [e.group for _ in found for e in test]
    rows = [row for f in found for row in f["rows"][name]]
    return crossed_interval(seeds, units, [ours - theirs for ours, theirs, _ in rows], [words for _, _, words in rows])


def _table(
    found: list[dict[str, Any]], differences: dict[str, tuple[float, float, float]], train: int, test: int, small: bool
) -> str:
    def column(system: str, key: str, scale: float) -> str:
        return spread([scale * f[system][key] for f in found], 1)

    names = {"wer": "WER, lowercase, punctuation dropped, %", "wer_english_normaliser": "WER, English normaliser, %"}
    rows = [(names[name], column("headstart", name, 100), column("untouched", name, 100), points(differences[name]))
            for name in NORMALISERS]  # fmt: skip
    rows += [("whole process, s", column("headstart", "wall_s", 1), column("untouched", "wall_s", 1), "")]
    rows += [("until predictions, s", column("headstart", "core_s", 1), column("untouched", "wall_s", 1), "")]
    depths = ", ".join(sorted({f["headstart"]["depth"] for f in found}))
    title = f"speech_decoder: {train} recordings to learn from, {test} to test on, {len(found)} seed(s), depth {depths}"
    header = ("", "headstart fit", "untouched, stock pipeline (test rows only)", "difference")
    lines = [f"### {title}{' (SMALL: for development only)' if small else ''}", "", table(header, rows), "",
             machine_line()]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
