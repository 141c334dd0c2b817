"""What a run that continues another one adds to result.json: where it comes from, and before against after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.comparison import pair, pairing_sentence, read_scored
from headstart.plan import Plan
from headstart.run_dir import write_atomically
from headstart.tasks import TASKS

REFINEMENTS = "refinements.jsonl"  # in the first run: one line for each later one that was scored on its test rows


@dataclass(frozen=True)
class Earlier:
    """The run that is continued, and what of its plan is kept."""

    run: Path
    result: dict[str, Any]
    plan: Plan


def describe_refinement(result: dict[str, Any], run: Path, earlier: Earlier) -> dict[str, Any]:
    """The parts of result.json that differ from those of a first run. result: of the new one, in the folder run.

    Counts the exposure of the test rows in the first run of the chain, so that two refinements of one run know of each
    other.
    """
    before = read_scored(earlier.run, earlier.result)
    found = pair(before, read_scored(run, result))
    task = TASKS[result["task"]]
    root = Path((earlier.result.get("refined_from") or {}).get("root") or earlier.run.resolve())
    parts: dict[str, Any] = {
        "refined_from": {"run": str(earlier.run), "root": str(root), "created": earlier.result.get("created")},
        "model": {**result["model"], "why": _kept(earlier), "candidates": earlier.result["model"]["candidates"]},
    }
    if result["headline_split"] == "test":
        parts["test_exposures"] = _count_exposure(root, run, earlier)
    told = _exposed(parts.get("test_exposures"))
    if isinstance(found, str):
        return parts | {"comparison": {"sentence": f"Before and after cannot be compared row by row: {found}.{told}"}}
    sentence = pairing_sentence(found, result["headline_split"], task.headline_unit)
    if result["headline_split"] == "test" and result["data"]["corrected"] and not found.corrected:
        sentence += (
            " All corrected labels are of rows to learn from; wrong ones among the test rows still count against both."
        )
    return parts | {"comparison": {**found.to_json(), "sentence": sentence + told}}


def _exposed(times: int | None) -> str:
    if times is None:
        return ""
    return (
        f" This test set has now been scored {times} times; whoever picks the best of them gets a score that is a "
        "little kind."
    )


def _kept(earlier: Earlier) -> str:
    why = str(earlier.result["model"]["why"])
    return why if why.startswith("kept from") else f"kept from {earlier.run}; there: {why}"


def _count_exposure(root: Path, run: Path, earlier: Earlier) -> int:
    """How often the test rows have been scored, this time included; noted in the first run if that is still there."""
    if not (root / "result.json").is_file():
        return int(earlier.result["test_exposures"]) + 1
    file = root / REFINEMENTS
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    lines.append(json.dumps({"run": str(run.resolve())}, ensure_ascii=False))
    write_atomically(file, "".join(line + "\n" for line in lines))
    return 1 + len(lines)
