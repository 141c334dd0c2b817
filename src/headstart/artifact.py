"""Save the standard checkpoint with its model card, and run it by its stock loader in a process without headstart."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.errors import MachineError, RunError
from headstart.heads.head import Outputs, Tunable
from headstart.problem import Problem, Rows
from headstart.tasks.task import Task
from headstart.types import Example, Prediction, Reporter

STOCK = Path(__file__).parent / "stock"
GOLDEN_ROWS = 8


@dataclass(frozen=True)
class Saved:
    """A checkpoint on disk. layout: native or portable. script: the stock loader that runs it."""

    folder: Path
    layout: str
    script: str

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file())


def save_model(
    problem: Problem, task: Task, base: Any, module: Tunable | None, temperature: float, folder: Path
) -> Saved:
    """Write the checkpoint into the folder, replacing what an interrupted save left there.

    Raises MachineError when the disk is full.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".model-") as temporary:
            fresh = Path(temporary) / "model"
            fresh.mkdir()
            layout = task.head.save(problem, base, module, temperature, fresh, problem.dataset.classes)
            # read again by describe(): a later run can start from this one
            described = {
                "licence": problem.backbone.source.licence,
                "source_domain": f"{problem.dataset.root.name} "
                f"({task.name}), after {problem.backbone.source.source_domain}",
                "architecture": problem.backbone.source.architecture,
            }
            (fresh / "headstart.json").write_text(json.dumps(described, indent=2, ensure_ascii=False))
            if folder.exists():
                shutil.rmtree(folder)
            fresh.rename(folder)
    except OSError as error:
        raise MachineError(
            f"The model cannot be saved to {folder}: {error.strerror or error}. Free some disk space."
        ) from error
    return Saved(folder, layout, problem.backbone.stock_script)


def stock_predictions(saved: Saved, examples: Sequence[Example], reporter: Reporter) -> list[Prediction]:
    """Predict with the saved model, loaded by its own library in a separate process.

    Raises RunError with the process's last words when it fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        inputs, outputs = Path(temporary) / "inputs.json", Path(temporary) / "outputs.jsonl"
        inputs.write_text(json.dumps([e.input for e in examples]), encoding="utf-8", errors="surrogatepass")
        command = [sys.executable, str(STOCK / saved.script), str(saved.folder), str(inputs), str(outputs)]
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONWARNINGS": "ignore",
        }
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            words: list[str] = []
            drain = threading.Thread(target=lambda: words.extend(process.stderr or []))
            drain.start()
            try:
                for _ in reporter.track(
                    _lines_as_they_come(outputs, process, len(examples)), "Saved model on unseen rows", len(examples)
                ):
                    pass
            except BaseException:
                process.kill()
                raise
            process.wait()
            drain.join()
        rows = (
            [json.loads(line) for line in outputs.read_text(encoding="utf-8").splitlines()] if outputs.exists() else []
        )
    if process.returncode != 0 or len(rows) != len(examples):
        last = " | ".join(w.strip() for w in words[-3:])
        raise RunError(
            f"The saved model in {saved.folder} does not run by its stock loader: {last[-500:]}. Report this fault."
        )
    return [prediction_of(example, row) for example, row in zip(examples, rows)]


def _lines_as_they_come(file: Path, process: subprocess.Popen[str], wanted: int) -> Any:
    import time

    seen = 0
    while process.poll() is None:
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            lines = file.read_bytes().count(b"\n")
            yield from range(seen, min(lines, wanted))
            seen = max(seen, lines)
    yield from range(seen, wanted)


def prediction_of(example: Example, row: dict[str, Any]) -> Prediction:
    """A stock loader's row as a prediction."""
    chances: dict[str, float] = row.get("probabilities", {})
    label = max(chances, key=lambda name: chances[name]) if chances else None
    return Prediction(example.id, example.target, label, chances, row.get("text"))


def golden_rows(rows: Rows) -> Rows:
    """A few rows, spread evenly, whose answers are compared before and after saving."""
    positions = np.unique(np.linspace(0, len(rows) - 1, min(GOLDEN_ROWS, len(rows))).astype(int))
    return np.asarray(rows[positions])


def own_predictions(problem: Problem, task: Task, outputs: Outputs, rows: Rows, temperature: float) -> list[Prediction]:
    """What the saved model should answer for these rows."""
    return task.head.predictions(problem, task.head.tempered(outputs, temperature), rows)
