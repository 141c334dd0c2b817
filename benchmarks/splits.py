"""The rows of every seed, written once as tables that headstart and its rival both read; and the rival's runs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import HERE, Process, Said, run_process
from headstart import sources
from headstart.data.split import make_split
from headstart.settings import Settings
from headstart.types import Dataset, Example
from headstart.workflow import read_data
from runs import limited

COLUMNS = ("input", "target", "group")


def read_rows(
    path: Path, columns: Mapping[str, str], limit: int | None, scratch: Path, task: str | None = None
) -> Dataset:
    """The data as headstart reads and checks them; `limit` keeps that many rows drawn at random (fixed seed).

    task: headstart infers it where it is left out, for which a few rows may not be enough.
    """
    if limit is not None:
        path = limited(path, limit, scratch)
    names = {f"{role}_column": name for role, name in columns.items()}
    _, dataset, _ = read_data(Settings(str(path), task=task, **names), Said())  # type: ignore[arg-type]
    return dataset


def split_rows(dataset: Dataset, seed: int, test_size: float) -> tuple[list[Example], list[Example]]:
    """Training and test examples of one seed, as headstart itself would hold them out."""
    split = make_split(dataset, seed, test_size, False)
    return [dataset.examples[r] for r in split.dev], [dataset.examples[r] for r in split.test]


def write_tables(train: Sequence[Example], test: Sequence[Example], folder: Path) -> tuple[Path, Path]:
    """train.csv and test.csv (input, target, group)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "train.csv", folder / "test.csv"
    for path, examples in zip(paths, (train, test)):
        _write(path, COLUMNS, ((e.input, e.target, e.group) for e in examples))
    return paths


def _write(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def model_folder(model: str) -> Path:
    """The folder of a catalog model, fetched where it is missing."""
    return sources.get(model, Said()).folder.resolve()


def rival(
    script: str,
    model: Path,
    tables: tuple[Path, Path],
    folder: Path,
    python: str | Path = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> tuple[Process, dict[str, Any]]:
    """Run a script of rivals/ on the same rows; its predictions and seconds.

    python: where it has packages of its own. environment: variables that are its settings.
    """
    out = folder / f"{Path(script).stem}.json"
    process = run_process([python, HERE / "rivals" / script, model, *tables, out],
                          {"HF_HUB_OFFLINE": "1", **_paths(python), **(environment or {})})  # fmt: skip
    return process, json.loads(out.read_text(encoding="utf-8"))


def _paths(python: str | Path) -> dict[str, str]:
    """Another environment lacks headstart, of which rivals take stock/torchvision_ops."""
    return {} if str(python) == sys.executable else {"PYTHONPATH": str(HERE.parent / "src")}


def check_same_rows(test: Sequence[Example], *answered: Sequence[str]) -> None:
    """Refuse a comparison on different rows. answered: the targets of what each system answered. Raises SystemExit."""
    wanted = [e.target for e in test]
    if any(list(targets) != wanted for targets in answered):
        raise SystemExit(
            "The systems were not scored on the same test rows. headstart scores fewer where the budget is short: try "
            "a longer one."
        )
