"""Save the standard checkpoint, and what it should answer."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.backbones.load import stock_script
from headstart.errors import MachineError
from headstart.heads.head import Outputs, Tunable
from headstart.problem import Problem, Rows, spread_evenly
from headstart.tasks.task import Task
from headstart.types import Prediction

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
    return Saved(folder, layout, stock_script(problem.backbone.source, task.target_kind))


def golden_rows(rows: Rows) -> Rows:
    """A few rows, spread evenly, whose answers are compared before and after saving."""
    return spread_evenly(rows, GOLDEN_ROWS)


def own_predictions(problem: Problem, task: Task, outputs: Outputs, rows: Rows, temperature: float) -> list[Prediction]:
    """What the saved model should answer for these rows."""
    return task.head.predictions(problem, task.head.tempered(outputs, temperature), rows)
