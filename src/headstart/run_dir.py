"""The run's folder: every file written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from headstart.errors import MachineError, RunError
from headstart.types import Prediction, Rejected

KEPT = {"labels": "labels.csv", "exclude": "excluded.csv"}
"""Settings that name files of the user's -> the run's own copies of them."""


class RunDir:
    """Paths and writers of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = time.monotonic()

    @classmethod
    def create(cls, path: Path) -> RunDir:
        """Make the folder.

        Raises RunError where an earlier run lies, MachineError where it cannot be made.
        """
        try:
            if (path / "result.json").exists():
                raise RunError(f"{path} already holds a run. Name another folder with --out, or remove it first.")
            (path / "model").mkdir(parents=True, exist_ok=True)
            (path / "log.jsonl").write_text("")
        except OSError as error:
            raise MachineError(
                f"The run folder {path} cannot be made: {error.strerror}. Name another with --out."
            ) from error
        return cls(path)

    @property
    def model(self) -> Path:
        """The standard checkpoint folder."""
        return self.path / "model"

    def log(self, event: str, **facts: Any) -> None:
        """Append one decision with its numbers."""
        line = {"seconds": round(time.monotonic() - self._started, 3), "event": event, **facts}
        file = self.path / "log.jsonl"
        try:
            with file.open("a", encoding="utf-8", errors="replace") as stream:
                stream.write(json.dumps(finite(line), ensure_ascii=False, default=str) + "\n")
        except OSError as error:
            raise _not_written(file, error) from error

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file atomically; NaN and infinite become null, what JSON does not know becomes its text."""
        text = json.dumps(finite(content), indent=2, ensure_ascii=False, default=str, allow_nan=False)
        write_atomically(self.path / name, text + "\n")

    def write_predictions(self, predictions: Iterable[Prediction]) -> None:
        """predictions.jsonl: one object a row of the test split."""
        lines = [json.dumps(finite(p.to_json()), ensure_ascii=False, allow_nan=False) for p in predictions]
        write_atomically(self.path / "predictions.jsonl", "".join(line + "\n" for line in lines))

    def write_quarantine(self, rejected: Iterable[Rejected]) -> None:
        """quarantine.csv: rows that were not used, with reasons."""
        self.write_csv("quarantine.csv", ["input", "reason", "detail"], ([r.id, r.reason, r.detail] for r in rejected))

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A CSV file; its folder is made where it is missing."""
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        (self.path / name).parent.mkdir(exist_ok=True)
        write_atomically(self.path / name, stream.getvalue())


def write_atomically(file: Path, text: str) -> None:
    """Write beside the file, then rename over it.

    Raises MachineError when the disk is full or not writable; an older file stays as it was.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8", errors="replace", newline="")
        temporary.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise _not_written(file, error) from error


def _not_written(file: Path, error: OSError) -> MachineError:
    return MachineError(f"{file} cannot be written: {error.strerror}. Free some disk space, or name another folder "
                        "with --out.")  # fmt: skip


def finite(value: Any) -> Any:
    """The same content with NaN and infinite numbers as None, and numpy arrays and scalars as Python's."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_result(run: Path) -> dict[str, Any]:
    """A finished run's result.json.

    Raises RunError where there is none or it is damaged.
    """
    file = run / "result.json"
    if not file.is_file():
        raise RunError(
            f"{run} is not a finished run: it has no result.json. Give the folder that `headstart fit` printed."
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged: {str(error)[:100]}. Run the fit again.") from error
    if not isinstance(content, dict):
        raise RunError(f"{file} is damaged: it holds no object. Run the fit again.")
    return content
