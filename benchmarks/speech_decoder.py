"""Phone prompts: `headstart fit` against Whisper tiny.en untouched, and tuned by transformers' Seq2SeqTrainer.

The Trainer's recipe is the usual one: the whole network, batches of 8, a rate of 1e-5, one epoch. Where headstart
had no time to answer all test rows (it takes them in a random order), systems are compared on those that it answered.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Records, Said, crossed_interval, machine_line, parser, points, spread, table
from headstart.demo_data import prompts
from headstart.metrics.speech import english_normalise, normalise, row_errors
from headstart.sources.cache_dir import cache_dir
from headstart.types import Example
from runs import fit_tables
from splits import check_same_rows, model_folder, read_rows, rival, write_tables

MODEL = "pip:whisper-tiny.en"
TASK = "speech-recognition"
NORMALISERS: dict[str, Callable[[str], str]] = {
    "lowercase, punctuation dropped": normalise, "English normaliser": english_normalise,
}  # fmt: skip
OURS = "headstart fit"
ROW = re.compile(r".* \(test: row (\d+)\)")  # how headstart names a row of a test table
RIVALS = {"untouched, stock pipeline": "whisper_pipeline.py", "Seq2SeqTrainer, 1 epoch": "whisper_trainer.py"}


@dataclass(frozen=True)
class Answer:
    """One system's texts by recording, of those that it answered.

    tuned_s: seconds until its model was ready; seconds: until its answers.
    """

    texts: dict[str, str]
    tuned_s: float
    seconds: float
    facts: dict[str, Any]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=1, help="number of fits: seeds 0, 1, … (the split is given)")
    made.add_argument("--limit", type=int, help="use that many recordings a side (for development; marked small)")
    made.add_argument("--budgets", nargs="+", default=["10m"], help="budgets of headstart fit")
    made.add_argument("--depth", default="auto", help="depth of headstart fit")
    made.add_argument("--rivals", type=int, nargs="*", default=list(range(len(RIVALS))), metavar="N",
                      help=f"which: {', '.join(f'{i} {name}' for i, name in enumerate(RIVALS))}")  # fmt: skip
    arguments = made.parse_args()
    records = Records("speech_decoder", arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    ours = {f"{OURS}, {budget}": budget for budget in arguments.budgets}
    names = [*ours, *(list(RIVALS)[i] for i in arguments.rivals)]
    found: dict[str, list[Answer]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        data = prompts.prepare(cache_dir() / "demo", Said())
        train, test = (_side(data / name, arguments.limit, Path(scratch)) for name in ("train", "test"))
        folder = model_folder(MODEL)
        for seed in range(arguments.seeds):
            own = Path(scratch) / str(seed)
            tables = write_tables(train, test, own)
            for name in names if seed % 2 == 0 else names[::-1]:
                answer = (_ours(ours[name], arguments.depth, tables, test, seed, own) if name in ours
                          else _theirs(RIVALS[name], folder, tables, test, own))  # fmt: skip
                found[name].append(answer)
                rates = {how: _rate(answer.texts, test, how) for how in NORMALISERS}
                records.write("answer", seed=seed, system=name, train=len(train), test=len(answer.texts), wer=rates,
                              tuned_s=answer.tuned_s, seconds=answer.seconds, **answer.facts)  # fmt: skip
    print(_table(found, test, len(train), records))


def _side(folder: Path, limit: int | None, scratch: Path) -> list[Example]:
    columns = {"input": "file_name", "target": "transcription"}
    return list(read_rows(folder, columns, limit, scratch, TASK).examples)


def _ours(budget: str, depth: str, tables: tuple[Path, Path], test: list[Example], seed: int, own: Path) -> Answer:
    options = ["--seed", str(seed), "--budget", budget, "--depth", depth]
    fit = fit_tables(tables, own / f"fit-{budget}", TASK, MODEL, options)
    at = {line["event"]: line for line in fit.log if line["event"] in ("depth", "finished")}
    before_s = float(at["finished"]["total_seconds"]) - float(at["finished"]["seconds"])  # the log begins later
    tuned_s = before_s + float(at["depth"]["seconds"])
    facts = {"depth": fit.depth, "whole_s": fit.process.wall_s, "timing": fit.result["timing"],
             "engine": fit.result["engine"], "warnings": fit.result["warnings"]}  # fmt: skip
    # some rows of the table may not have been answered
    rows = [int(ROW.fullmatch(p["input"])[1]) for p in fit.predictions]  # type: ignore[index]
    texts = {test[row - 1].input: p["text"] for row, p in zip(rows, fit.predictions)}
    return Answer(texts, tuned_s, fit.core_s, facts)


def _theirs(script: str, model: Path, tables: tuple[Path, Path], test: list[Example], own: Path) -> Answer:
    process, answer = rival(script, model, tables, own)
    check_same_rows(test, answer["targets"])
    parts = answer["seconds"]
    texts = {e.input: text for e, text in zip(test, answer["predictions"])}
    return Answer(texts, process.wall_s - parts["predict"], process.wall_s, {"parts": parts})


def _rate(texts: dict[str, str], test: list[Example], how: str) -> float:
    """Word error rate on those of the test rows that were answered."""
    answered = [e for e in test if e.input in texts]
    counted = [row_errors(e.target or "", texts[e.input], NORMALISERS[how]) for e in answered]
    return sum(errors for errors, _ in counted) / max(1, sum(words for _, words in counted))


def _difference(ours: list[Answer], theirs: list[Answer], test: list[Example], how: str) -> tuple[float, float, float]:
    """The word error rate of headstart less the other's, with its 95% interval; negative is better.

    On the test rows that both answered.
    """
    seeds, units, tops, bottoms = [], [], [], []
    for seed, pair in enumerate(zip(ours, theirs)):
        for example in (e for e in test if all(e.input in answer.texts for answer in pair)):
            mine, other = (answer.texts[example.input] for answer in pair)
            errors, words = row_errors(example.target or "", mine, NORMALISERS[how])
            seeds.append(seed)
            units.append(example.group)
            tops.append(errors - row_errors(example.target or "", other, NORMALISERS[how])[0])
            bottoms.append(words)
    return crossed_interval(seeds, units, tops, bottoms)


def _table(found: dict[str, list[Answer]], test: list[Example], train: int, records: Records) -> str:
    rows, fits = [], [name for name in found if name.startswith(OURS)]
    for name, answers in found.items():
        cells = []
        for how in NORMALISERS:
            differences = {fit: _difference(found[fit], answers, test, how) for fit in fits if name not in fits}
            records.write("difference", other=name, normaliser=how, wer=differences)
            rates = spread([100 * _rate(answer.texts, test, how) for answer in answers], 1)
            cells += [rates, "; ".join(points(difference) for difference in differences.values())]
        rows.append((name, *cells, spread([a.tuned_s for a in answers], 0), spread([a.seconds for a in answers], 0)))
    header = ["", *(cell for how in NORMALISERS for cell in (f"WER, {how}, %", "headstart's less it, by budget")),
              "seconds until the model is there", "until its answers"]  # fmt: skip
    told = {fit: ", ".join(f"{a.facts['depth']['chosen']}, {len(a.texts)} answers" for a in found[fit]) for fit in fits}
    depths = "; ".join(f"{fit}: {each}" for fit, each in told.items())
    title = f"speech_decoder: {train} recordings to learn from, {len(test)} to test on, {len(found[fits[0]])} seed(s)"
    return "\n\n".join([f"### {title}{' (SMALL: for development only)' if records.small else ''}", table(header, rows),
                        f"Depths: {depths}.", machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
