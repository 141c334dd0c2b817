"""Where a folder holds thresholds.json an input may have several labels: those whose probability reaches theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


def rows_of(folder: str, names: list[str]) -> Callable[[Any], Rows]:
    """From logits (B, C) to {"probabilities": …}, and "labels" where the folder holds thresholds."""
    file = Path(folder) / "thresholds.json"
    if not file.is_file():
        return lambda logits: [{"probabilities": dict(zip(names, row))} for row in logits.double().softmax(-1).tolist()]
    limits = json.loads(file.read_text(encoding="utf-8"))

    def rows(logits: Any) -> Rows:
        found = [dict(zip(names, row)) for row in logits.double().sigmoid().tolist()]
        return [{"probabilities": p, "labels": [name for name in names if p[name] >= limits[name]]} for p in found]

    return rows
