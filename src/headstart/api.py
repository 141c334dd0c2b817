"""The Python functions behind the commands."""

from __future__ import annotations

from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from headstart.budget import Clock
from headstart.errors import DataError, SettingError
from headstart.result import Result
from headstart.settings import Settings, parse_budget
from headstart.types import Reporter, Silent


def fit(data: str | Path, *, budget: str | float = "10m", reporter: Reporter | None = None, **settings: Any) -> Result:
    """Select, replace the head, fine-tune, evaluate, save.

    data: a folder or a table. budget: "90s", "5m", "1h" or seconds. settings: the fields of headstart.settings.Settings
    (task, model, out, test, test_size, seed, depth, input_column, pair_column, target_column, label_separator,
    group_column, shift_column, exclude, labels, split, engine, plan, offline, cache_dir).
    Raises HeadstartError for whatever the caller can mend.
    """
    known = [f.name for f in fields(Settings)]
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f" Did you mean {close[0]}?" if close else f" Settings: {', '.join(known)}."
            raise SettingError(f"fit has no setting {name!r}.{hint}")
    seconds = parse_budget(budget)
    named: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    from headstart.workflow import run_fit

    return run_fit(Settings(str(data), budget_seconds=seconds, **named), reporter or Silent(), Clock(seconds))


def refine(
    run: str | Path,
    *,
    labels: str | Path | None = None,
    exclude: str | Path | None = None,
    budget: str | float | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Continue a finished run in a new folder: same data, settings, model and split, cached states used again.

    labels: a table of corrected labels, such as the run's findings/label_errors.csv. exclude: rows to leave out, in the
    same form. budget: the run's own where left out. data: where the data lie now, perhaps with more rows; the test rows
    stay the same. result.details["comparison"] holds before against after.
    Raises HeadstartError for whatever the caller can mend.
    """
    from headstart.refinement import refine_settings, run_refine

    seconds = None if budget is None else parse_budget(budget)
    settings = refine_settings(Path(run), seconds, data=data, out=out, labels=labels, exclude=exclude)
    return run_refine(Path(run), settings, reporter or Silent(), Clock(settings.budget_seconds))


def prove(
    run: str | Path, *, budget: str | float = "2h", data: str | Path | None = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Train a finished run's network from random weights as long as it helps, and compare on the rows that it was
    scored on; where answers are texts, on as many of these as fit.

    budget: "20m", "2h" or seconds. data: where the run's data lie now. Returns what is added to the run's result.json
    as `proof`: scores (metrics of scratch and transfer), gain (paired, 95% interval), converged, rounds, points,
    multiplier, sentence.
    Raises HeadstartError for whatever the caller can mend.
    """
    from headstart.proof import run_prove

    given = None if data is None else str(data)
    return run_prove(Path(run), reporter or Silent(), Clock(parse_budget(budget)), given)


def evaluate(run: str | Path, data: str | Path, reporter: Reporter | None = None) -> dict[str, Any]:
    """Score a finished run on other labelled data, and add evaluations/<name>.json to the run.

    data: laid out like the training data. Returns {data, rows, quarantined, metrics}, and for classes conformal (what
    sets promise and how these rows keep it) and ood (how many of them are unlike the development rows).
    Raises HeadstartError where the data or the run cannot be used.
    """
    from headstart.data import columns as column_inference
    from headstart.data import folders
    from headstart.data.check import check
    from headstart.data.split import group_indices
    from headstart.data.text_columns import like_trained
    from headstart.predictor import load
    from headstart.run_dir import RunDir
    from headstart.tasks import TASKS
    from headstart.tasks.class_uncertainty import measure_levels

    shown = reporter or Silent()
    predictor = load(run)
    task = TASKS[predictor.task]
    trained_on = predictor.result["data"]["columns"]
    table = folders.read(Path(data).expanduser())
    table = like_trained(table, trained_on.get("input"))
    names = {role: name if (name := trained_on.get(role)) in table.columns else None for role in ("input", "target")}
    columns = column_inference.infer(
        table, names["input"], names["target"], None, (task.modality, task.target_kind),
        (predictor.result.get("settings") or {}).get("label_separator"),
    )  # fmt: skip
    dataset = check(table, columns, task.name, Path(data), shown, known_classes=tuple(predictor.classes_))
    inputs = [e.input for e in dataset.examples]
    found = [
        replace(p, id=e.id, target=e.target)
        for p, e in zip(shown.track(predictor.stream(inputs), "Predicting", len(inputs)), dataset.examples)
    ]
    if faults := [p for p in found if p.error]:
        raise DataError(
            f"{len(faults)} of {len(found)} rows got no answer; the first: {faults[0].id}: {faults[0].error}."
        )
    groups = group_indices(dataset)
    scores = task.score(found, groups, np.random.default_rng(0))
    content: dict[str, Any] = {
        "data": str(data),
        "rows": len(found),
        "quarantined": len(dataset.rejected),
        "metrics": scores.to_json(),
    }
    if predictor.scores is not None:
        content["conformal"] = {"levels": measure_levels(predictor.scores, found, groups, np.random.default_rng(0))}
    flags = [p.ood for p in found if p.ood is not None]
    if flags:
        content["ood"] = {"flagged": sum(flags), "rows": len(flags)}
    folder = Path(run) / "evaluations"
    folder.mkdir(exist_ok=True)
    RunDir(folder).write_json(f"{Path(data).expanduser().resolve().stem}.json", content)
    return content
