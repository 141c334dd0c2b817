"""Continue a finished run: same data, settings and split, with corrected labels, rows left out, or more time."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.budget import Clock
from headstart.data.exclude import excluded_ids
from headstart.data.kept_split import FILE
from headstart.data.labels import HEADER, correction_rows, merged, read_corrections
from headstart.describe_refinement import Earlier
from headstart.errors import HeadstartError, RunError
from headstart.plan import Plan, load_plan
from headstart.result import Result
from headstart.run_dir import KEPT, RunDir, read_result
from headstart.settings import Settings
from headstart.stages.reopen import settings_of
from headstart.types import Reporter
from headstart.workflow import fresh_run_folder, run_fit


def run_refine(run: Path, settings: Settings, reporter: Reporter, clock: Clock) -> Result:
    """A new run that continues `run`. settings: as refine_settings gives them.

    The model, the engine and float32 stay, so that cached states are used again; views too, unless there is more time.
    Depth, head and the rest are decided anew.
    Test rows stay test rows and folds stay folds. result.json gets refined_from and comparison.
    Raises HeadstartError for anything the user can mend.
    """
    result = read_result(run)
    plan = load_plan(run / "plan.json")
    # further views are states of their own: only more time is a reason for new ones
    views = plan.views if settings.budget_seconds <= result["budget_seconds"] else None
    exact = "f32" if plan.precision == "f32" else None  # 16-bit features are checked again on other labels
    engine = plan.engine_name  # its setting may be another for more rows
    kept = Plan(
        model=plan.model, engine=engine, products=plan.products, precision=exact, views=views, seed=settings.seed
    )
    out = Path(settings.out) if settings.out else fresh_run_folder(settings.data)
    if (out / "result.json").exists():
        raise RunError(f"{out} already holds a run. Name another folder with --out, or remove it first.")
    settings = replace(settings, out=str(out))
    listed, given = _listed(run, settings, result), {"labels": settings.labels, "exclude": settings.exclude}
    if not listed:
        return run_fit(settings, reporter, clock, earlier=Earlier(run, result, kept))
    made = RunDir.create(out)
    try:
        for name, (header, rows) in listed.items():
            made.write_csv(KEPT[name], header, rows)
        settings = replace(
            settings,
            labels=str(out / KEPT["labels"]) if "labels" in listed else None,
            exclude=str(out / KEPT["exclude"]) if "exclude" in listed else None,
        )
        return run_fit(settings, reporter, clock, earlier=Earlier(run, result, kept))
    except HeadstartError as error:
        _remove_unused(out)
        told = str(error)
        for name in listed:  # the files that the user knows
            told = told.replace(str(out / KEPT[name]), str(given[name]))
        raise type(error)(told) from error


def refine_settings(run: Path, budget_seconds: float | None = None, **changes: Any) -> Settings:
    """The settings of the run, with the split that it had and these changes (data, out, labels, exclude; None: none).

    Raises RunError for a folder that is no finished run, or that an earlier version made.
    """
    result = read_result(run)
    if not (run / FILE).is_file():
        raise RunError(f"{run} has no {FILE}: an earlier version made it and did not keep its split. Run "
                       "`headstart fit` on its data, then refine that run.")  # fmt: skip
    settings = settings_of(run, result)
    given: dict[str, Any] = {name: str(value) for name, value in changes.items() if value is not None}
    given.setdefault("out", None)
    seconds = settings.budget_seconds if budget_seconds is None else budget_seconds
    settings = replace(settings, split=str(run / FILE), plan=None, budget_seconds=seconds, **given)
    if not Path(settings.data).expanduser().exists():
        raise RunError(f"{settings.data}, the data of {run}, does not exist here. Say with --data where it lies now.")
    return settings


def _listed(run: Path, settings: Settings, result: dict[str, Any]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Corrections and exclusions of the run and of the user together: setting -> header and lines of a file."""
    found: dict[str, tuple[list[str], list[list[str]]]] = {}
    old = {name: run / file for name, file in KEPT.items() if (run / file).is_file()}
    target = result["data"]["columns"]["target"]
    if settings.labels is not None:
        new = read_corrections(Path(settings.labels).expanduser(), target)
        corrections = merged(read_corrections(old["labels"], target) if "labels" in old else [], new)
        found["labels"] = (list(HEADER), correction_rows(corrections))
    if settings.exclude is not None:
        ids = excluded_ids(Path(settings.exclude).expanduser())
        ids |= excluded_ids(old["exclude"]) if "exclude" in old else set()
        found["exclude"] = (["input"], [[name] for name in sorted(ids)])
    return found


def _remove_unused(out: Path) -> None:
    """The folder, where nothing but our own files came into it."""
    if (out / FILE).exists():
        return  # the run had begun: its log may tell why it ended
    with contextlib.suppress(OSError):
        for name in (*KEPT.values(), "log.jsonl"):
            (out / name).unlink(missing_ok=True)
        (out / "model").rmdir()
        out.rmdir()
