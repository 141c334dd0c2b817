"""Read the tables and write the answer of a rival script."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STEPS = ("load", "features", "fit", "predict")


def arguments() -> tuple[Path, Path, Path, Path]:
    """Model folder, training table, test table, file for the answer."""
    if len(sys.argv) != 5 or "--help" in sys.argv:
        raise SystemExit(f"usage: python {sys.argv[0]} MODEL_FOLDER TRAIN.csv TEST.csv OUT.json")
    folder, train, test, out = map(Path, sys.argv[1:])
    return folder, train, test, out


def read_table(file: Path) -> tuple[list[str], list[str]]:
    """Inputs and targets."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [row["input"] for row in rows], [row["target"] for row in rows]


def write_answer(
    out: Path, targets: Sequence[str], predictions: Sequence[str], times: Sequence[float], **facts: Any
) -> None:
    """Predictions, and seconds of load, features, fit and predict. times: the five instants between which they ran."""
    seconds = {step: after - before for step, before, after in zip(STEPS, times, times[1:])}
    answer = {"targets": list(targets), "predictions": list(predictions), "seconds": seconds, **facts}
    out.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
