"""Compare two runs on the rows that both were scored on: paired, on the same labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.kept_split import FILE, load_split
from headstart.errors import RunError
from headstart.run_dir import read_result
from headstart.tasks import TASKS
from headstart.types import Found, Interval, Prediction

Key = tuple[str, str]  # id, digest of the content ("" where the run does not tell)


@dataclass(frozen=True)
class Scored:
    """A run and the rows that it was scored on. groups: rows that intervals resample together."""

    run: Path
    result: dict[str, Any]
    predictions: dict[Key, Prediction]
    groups: dict[Key, str]


@dataclass(frozen=True)
class Pairing:
    """Two runs on the rows that both have, on the labels of the later one.

    before, after: the headline metric there. gain: of after over before, 95% interval; positive is better.
    corrected: how many of the rows have another label in the later run. old_labels: the headline metric of the earlier
    run on its own labels of these rows. only_before, only_after: rows that the other run was not scored on.
    """

    metric: str
    rows: int
    before: Interval
    after: Interval
    gain: Interval
    corrected: int
    old_labels: Interval
    only_before: int
    only_after: int

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "rows": self.rows,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "gain": self.gain.to_json(),
            "corrected": self.corrected,
            "old_labels": self.old_labels.to_json(),
            "only_before": self.only_before,
            "only_after": self.only_after,
        }


def read_scored(run: Path, result: dict[str, Any] | None = None) -> Scored:
    """A run's predictions on its scored rows. result: where result.json is not written yet.

    Raises RunError where the run is not finished or its predictions are damaged.
    """
    found = read_result(run) if result is None else result
    file = run / "predictions.jsonl"
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        predictions = [_prediction(line) for line in lines]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{file} cannot be read: {str(error)[:100]}. Run the fit again.") from error
    saved = load_split(run / FILE) if (run / FILE).is_file() else None
    digests, groups = (saved.digests, saved.groups) if saved else ({}, {})
    by_key = {(p.id, digests.get(p.id, "")): p for p in predictions}
    return Scored(run, found, by_key, {key: groups.get(key[0], key[0]) for key in by_key})


def _prediction(line: Mapping[str, Any]) -> Prediction:
    return Prediction(
        line["input"],
        line["target"],
        line.get("label"),
        line.get("probabilities") or {},
        text=line.get("text"),
        labels=tuple(line["labels"]) if "labels" in line else None,
        boxes=tuple(map(Found.of_json, line["boxes"])) if "boxes" in line else None,
    )


def pair(before: Scored, after: Scored) -> Pairing | str:
    """The comparison, or why there is none. Rows are the same where id and content are, or the content alone."""
    if before.result["task"] != after.result["task"]:
        return f"one is {before.result['task']}, the other {after.result['task']}"
    if ("", False) in {(key[1], _same_data(before, after)) for key in (*before.predictions, *after.predictions)}:
        return "at least one was made by an earlier version that did not keep the contents of its rows, on other data"
    splits = {scored.result["headline_split"] for scored in (before, after)}
    if len(splits) > 1:
        return "one was scored on test rows, the other by cross-validation"
    common = _common(before, after)
    if not common:
        return "they share no scored row"
    return _paired(before, after, common)


def _same_data(before: Scored, after: Scored) -> bool:
    return bool(before.result["data"]["fingerprint"] == after.result["data"]["fingerprint"])


def _common(before: Scored, after: Scored) -> list[tuple[Key, Key]]:
    """Keys of the same rows in both, each row once."""
    free = dict.fromkeys(before.predictions)
    by_content = {key[1]: key for key in before.predictions if key[1]}
    by_id = {key[0]: key for key in before.predictions}
    found = []
    for key in after.predictions:
        if key in free:
            other: Key | None = key
        elif key[1]:
            other = by_content.get(key[1]) if by_content.get(key[1]) in free else None
        else:
            other = by_id.get(key[0])
        if other is not None and other in free:
            del free[other]
            found.append((other, key))
    return found


def _paired(before: Scored, after: Scored, common: Sequence[tuple[Key, Key]]) -> Pairing:
    task = TASKS[after.result["task"]]
    _, groups = np.unique([after.groups[key] for _, key in common], return_inverse=True)
    old, new = [before.predictions[key] for key, _ in common], [after.predictions[key] for _, key in common]
    relabelled = [replace(p, target=q.target) for p, q in zip(old, new)]
    scores = [task.score(_whole(part, [*old, *new]), groups, np.random.default_rng(0)) for part in (relabelled, new)]
    gain = task.gain(scores[1], scores[0], groups, np.random.default_rng(1))
    corrected = sum(p.target != q.target for p, q in zip(old, new))
    on_own = task.score(_whole(old, [*old, *new]), groups, np.random.default_rng(0)) if corrected else scores[0]
    name = task.headline
    return Pairing(
        name, len(common), scores[0].metrics[name], scores[1].metrics[name], gain, corrected, on_own.metrics[name],
        len(before.predictions) - len(common), len(after.predictions) - len(common),
    )  # fmt: skip


def _whole(part: Sequence[Prediction], everything: Sequence[Prediction]) -> list[Prediction]:
    """The predictions with probabilities over all classes of both runs; a class that a run does not know has 0."""
    if not any(p.probabilities for p in everything):
        return list(part)
    classes = sorted({c for p in everything for c in p.probabilities} | {p.target or "" for p in everything})
    return [replace(p, probabilities={c: p.probabilities.get(c, 0.0) for c in classes}) for p in part]


def pairing_sentence(found: Pairing, split: str, unit: str) -> str:
    """What the comparison says, for people."""
    value, low, high = (100 * getattr(found.gain, end) for end in ("value", "low", "high"))
    verdict = "better" if low > 0 else "worse" if high < 0 else "no clear difference"
    rows = "test rows" if split == "test" else "rows by cross-validation"
    told = (
        f"{100 * found.before.value:.1f}% before, {100 * found.after.value:.1f}% after, on the same {found.rows} "
        f"{rows}: gain {value:+.1f} {unit} (95% interval {low:+.1f} to {high:+.1f}), {verdict}."
    )
    if found.corrected:
        told += (
            f" {found.corrected} of these rows have a corrected label, so that the yardstick has changed: both are "
            f"scored on the labels as they are now (before, on the old ones: {100 * found.old_labels.value:.1f}%)."
        )
    return told
