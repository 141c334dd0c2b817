"""What the user asked for: one frozen record, saved resolved in result.json."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from headstart.errors import SettingError

DEPTHS = ("auto", "head", "block", "third", "all", "lora")
ENGINES = ("auto", "openvino", "torch")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Settings:
    """The options of `fit`; the same words on the command line, in Python and in result.json.

    depth: "auto" lets development data decide; "head" tunes nothing behind the new head; "block" (the last block, or
    the decoder), "third" (the last third), "all" (the whole network) and "lora" (low-rank changes to all of it) are
    tuned and kept whatever the comparison says.
    budget_seconds: wall-clock limit from the start of the process, downloads excluded.
    exclude: a table whose column "input" or "id" names rows to leave out, such as a CSV file of a run's findings.
    labels: a table of corrected labels in the same form. split: an earlier run's split.csv, whose test rows and folds
    are kept.
    pair_column: a second text, judged together with that in input_column.
    label_separator: between several labels in one cell; JSON lists need none.
    shift_column: each of its values is held out in turn: depth is decided, and scores are told, by networks that have
    not met it.
    plan: a plan.json to replay. Beside it an engine and a seed other than 0 count; its model stays.
    cache_dir: where this run keeps features and converted networks, instead of the usual cache; models stay there.
    """

    data: str
    task: str | None = None
    model: str = "auto"
    budget_seconds: float = 600.0
    out: str | None = None
    test: str | None = None
    test_size: float = 0.2
    seed: int = 0
    depth: str = "auto"
    input_column: str | None = None
    pair_column: str | None = None
    target_column: str | None = None
    label_separator: str | None = None
    group_column: str | None = None
    shift_column: str | None = None
    exclude: str | None = None
    labels: str | None = None
    split: str | None = None
    engine: str = "auto"
    plan: str | None = None
    offline: bool = False
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise SettingError(f"depth is {self.depth!r}; choose one of {', '.join(DEPTHS)}.")
        if not 0.05 <= self.test_size <= 0.5:
            raise SettingError(f"test_size is {self.test_size}; give a share between 0.05 and 0.5.")
        if not 5 <= self.budget_seconds < float("inf"):
            raise SettingError(f"budget is {self.budget_seconds:g} s; give at least 5 s, for example 5m.")
        if self.label_separator is not None and not self.label_separator.strip():
            raise SettingError("label_separator is empty; give what stands between labels, such as ',' or ';'.")
        if self.engine not in ENGINES:
            raise SettingError(f"engine is {self.engine!r}; choose one of {', '.join(ENGINES)}.")
        if self.seed < 0:
            raise SettingError(f"seed is {self.seed}; give a whole number from 0.")
        if self.out is not None and Path(self.out).exists() and not Path(self.out).is_dir():
            raise SettingError(f"out is {self.out}, which is a file. Name a folder that does not exist yet.")
        if self.cache_dir is not None and Path(self.cache_dir).expanduser().is_file():
            raise SettingError(f"cache_dir is {self.cache_dir}, which is a file. Name a folder; it need not exist yet.")

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def parse_budget(text: str | float) -> float:
    """Turn "90", "90s", "5m" or "1.5h" into seconds.

    Raises SettingError for anything else.
    """
    if isinstance(text, int | float):
        return float(text)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(text).lower())
    if match is None:
        raise SettingError(f"budget is {text!r}; write a number with s, m or h, for example 90s, 5m or 1h.")
    return float(match.group(1)) * _UNITS[match.group(2) or "s"]
