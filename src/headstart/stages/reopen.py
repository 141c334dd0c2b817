"""Reopen a finished run: its settings, decisions, data and split, as they were when it was made."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from headstart.data.label_sets import class_counts
from headstart.data.split import Split
from headstart.errors import DataError, RunError
from headstart.plan import Plan, load_plan
from headstart.run_dir import KEPT, read_result
from headstart.settings import Settings
from headstart.stages.read import read_data
from headstart.stages.subset import part_of
from headstart.tasks.task import Task
from headstart.types import Dataset, Reporter, Silent

SHOWN = 3  # changed classes that are named


@dataclass(frozen=True)
class Reopened:
    """A finished run and the data that it was made from, read again.

    settings: its own; data is where the data lie now. result: result.json as it stands there. split: the run's, of the
    rows that it learnt from. changed: sentences on how the data differ from those of the run; empty where they are the
    same, and only then are rows of split the run's own.
    """

    run: Path
    settings: Settings
    result: dict[str, Any]
    plan: Plan
    task: Task
    dataset: Dataset
    split: Split
    changed: tuple[str, ...]

    def require_unchanged(self) -> None:
        """Raise DataError where the data are not those of the run."""
        if self.changed:
            raise DataError(
                f"The data in {self.settings.data} are not those that {self.run} was made from: "
                f"{'; '.join(self.changed)}. Restore them, say with --data where they lie, or run `headstart fit` "
                "again."
            )


def reopen(run: str | Path, data: str | Path | None = None, reporter: Reporter | None = None) -> Reopened:
    """Read a run's result.json and plan.json, and its data again by the same settings.

    data: where the data lie now; where they lay then, if left out.
    Raises RunError where the run is not finished, DataError where its data cannot be read.
    """
    folder = Path(run)
    result = read_result(folder)
    plan = load_plan(folder / "plan.json")
    settings = settings_of(folder, result)
    if data is not None:
        settings = replace(settings, data=str(data))
    elif not Path(settings.data).expanduser().exists():
        raise DataError(
            f"{settings.data}, the data of {folder}, does not exist here. Say with --data where it lies now."
        )
    task, dataset, split = read_data(settings, reporter or Silent())
    if plan.dev_rows is not None and plan.dev_rows < len(split.dev):
        split = part_of(dataset, split, plan.dev_rows, settings.seed)
    return Reopened(folder, settings, result, plan, task, dataset, split, _changes(result["data"], dataset))


def settings_of(run: Path, result: dict[str, Any]) -> Settings:
    """The settings of a run; corrected labels and excluded rows as its folder keeps them.

    Raises RunError where another version of headstart wrote them.
    """
    known = {f.name for f in fields(Settings)}
    saved = result.get("settings") or {}
    unknown = sorted(set(saved) - known)
    if unknown or "data" not in saved:
        fault = f"the unknown setting {unknown[0]!r}" if unknown else "no settings"
        raise RunError(f"{run}/result.json holds {fault}: another version of headstart wrote it. Run the fit again.")
    kept = {name: str(run / file) for name, file in KEPT.items() if saved.get(name) and (run / file).is_file()}
    return Settings(**saved | kept)


def _changes(before: dict[str, Any], dataset: Dataset) -> tuple[str, ...]:
    """What differs from the data of the run, as far as result.json can tell."""
    if before["fingerprint"] == dataset.fingerprint:
        return ()
    found: list[str] = []
    if before["used"] != len(dataset.examples):
        found.append(f"{before['used']} rows were usable, now {len(dataset.examples)} are")
    now = class_counts(dataset)
    names = sorted({*before["classes"], *now})
    differing = [n for n in names if before["classes"].get(n, 0) != now.get(n, 0)]
    found += [f"{before['classes'].get(n, 0)} rows had the label {n!r}, now {now.get(n, 0)}" for n in differing[:SHOWN]]
    if len(differing) > SHOWN:
        found.append(f"{len(differing) - SHOWN} further labels have other counts")
    return tuple(found) or ("there are as many rows, but names, contents or targets of some have changed",)
