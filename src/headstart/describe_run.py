"""result.json: everything that the report, the model card and the summary show."""

from __future__ import annotations

import datetime
import platform
from collections import Counter
from importlib.metadata import version
from typing import Any

from headstart.data.label_sets import class_counts
from headstart.stages.context import Context
from headstart.stages.evaluate import Evaluated
from headstart.stages.finetune import Tuned
from headstart.stages.select import Selected
from headstart.types import PAIR

PORTABLE = {"timm_detector.py": "headstart detector"}
"""What a portable folder of a stock script is called, where that is not sentence-transformers."""
VERSIONED = ("torch", "timm", "transformers", "openvino", "numpy", "scikit-learn")


def describe_run(
    context: Context,
    selected: Selected,
    tuned: Tuned,
    evaluated: Evaluated,
    findings: dict[str, Any],
    published: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything that the report and the summary show."""
    task, engine = context.task, selected.extractor.engine
    details = evaluated.scores.details
    listed = [row for found in findings.values() for row in found.get("rows", []) if "input" in row]
    if task.modality == "text":
        texts = {e.id: e.input for e in context.dataset.examples}
        for example in (*details.get("examples", []), *listed):
            example["excerpt"] = texts.get(example["input"], "").replace(PAIR, " ¶ ")[:320]
    calibration = details.get("calibration")
    return {
        "headstart_version": version("headstart"),
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "status": "interrupted" if any("nterrupted" in w for w in context.warnings) else "complete",
        "task": task.name,
        "modality": task.modality,
        "data": _data(context),
        "model": _model(context, selected),
        "depth": {
            "chosen": tuned.chosen.name,
            "why": tuned.why,
            "rungs": [r.to_json(task.head.decision_metric) for r in tuned.rungs],
        },
        "metrics": {evaluated.split: evaluated.scores.to_json()},
        "headline_metric": task.headline,
        "headline_split": evaluated.split,
        "lower_is_better": task.lower_is_better,
        "headline_note": evaluated.note,
        "published": published,
        "evidence": evaluated.evidence,
        "controls_seconds": round(evaluated.controls_s, 2),
        "confusion": details.get("confusion"),
        "per_class": details.get("per_class", []),
        "calibration": {**calibration, "temperature": evaluated.temperature} if calibration else None,
        "examples": details.get("examples", []),
        "signatures": details.get("signatures"),
        "boxes": details.get("boxes"),
        "word_errors": details.get("word_errors"),
        "findings": findings,
        "artifact": _artifact(evaluated, selected),
        "timing": {name: round(seconds, 2) for name, seconds in context.clock.stages.items()},
        "seconds": round(context.clock.spent(), 2),
        "budget_seconds": context.clock.budget_seconds,
        "engine": {
            "name": engine.name,
            "version": engine.version,
            "examples_per_second": selected.extractor.rate,
            "why": engine.why,
            "device": engine.device,
            "precision": engine.precision,
            "precision_check": selected.precision_check,
        },
        "cache": {"hits": selected.extractor.hits, "misses": selected.extractor.misses},
        "seed": context.settings.seed,
        "settings": context.settings.to_json(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
        "test_exposures": evaluated.test_exposures,
        "warnings": list(context.warnings),
        "next": _next_commands(context),
    }


def _model(context: Context, selected: Selected) -> dict[str, Any]:
    source = selected.problem.backbone.source
    metric = context.task.head.decision_metric.replace("_", "-")
    return {
        "id": source.id,
        "architecture": source.architecture,
        "library": source.library,
        "licence": source.licence,
        "source_domain": source.source_domain,
        "why": selected.why,
        "windows": context.plan.windows or 1,
        "chunk_length": context.plan.chunk_length,
        "reading_check": selected.reading_check,
        "candidates": [
            {
                "id": c.source.id,
                "score": c.score,
                "score_name": metric,
                "seconds": c.seconds,
                "chosen": c.source.id == source.id,
                "note": c.note,
            }
            for c in selected.candidates
        ],
    }


def _artifact(evaluated: Evaluated, selected: Selected) -> dict[str, Any]:
    saved = evaluated.saved
    portable = saved.layout == "portable"
    return {
        "layout": saved.layout,
        "format": PORTABLE.get(saved.script, "sentence-transformers")
        if portable
        else selected.problem.backbone.source.library,
        "path": "model",
        "bytes": saved.bytes,
        "check": evaluated.check,
        "script": saved.script,
    }


def _data(context: Context) -> dict[str, Any]:
    dataset, split = context.dataset, context.split
    groups = Counter(e.group for e in dataset.examples)
    return {
        "path": str(dataset.root),
        "rows": len(dataset.examples) + len(dataset.rejected),
        "used": len(dataset.examples),
        "excluded": dataset.excluded,
        "corrected": dataset.corrected,
        "quarantined": len(dataset.rejected),
        "quarantine_reasons": dict(Counter(r.reason for r in dataset.rejected)),
        "duplicates_grouped": sum(n - 1 for n in groups.values() if n > 1),
        "classes": dict(sorted(class_counts(dataset).items())),
        "columns": dataset.columns,
        "fingerprint": dataset.fingerprint,
        "split": {
            "train": len(split.dev),
            "test": len(split.test),
            "method": split.method,
            "folds": split.n_folds,
            "seed": context.settings.seed,
        },
        "notes": list(dataset.notes),
    }


def _next_commands(context: Context) -> list[str]:
    run = context.run.path
    example = {"image": "new/*.jpg", "audio": "new/*.wav", "text": '--text "…"'}[context.task.modality]
    return [f"headstart predict {run} {example}", f"headstart report {run} --open", f"headstart evaluate {run} DATA"]
