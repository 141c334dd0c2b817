"""What a check found: rows (or classes, or columns) with scores and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN = 12  # rows that result.json and the report show; the CSV file has all


@dataclass(frozen=True)
class Found:
    """One line. subject: the row's id, or the name of a class or column. given, suggested: labels, "" where none."""

    subject: str
    score: float
    reason: str
    given: str = ""
    suggested: str = ""


@dataclass(frozen=True)
class Finding:
    """One check. subject: what it lists ("input", "class" or "column"). checked: how many of them were looked at.

    rule: when one is listed, in words. lines: worst first. facts: numbers of the check as a whole.
    """

    name: str
    subject: str
    rule: str
    checked: int
    lines: tuple[Found, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def header(self) -> list[str]:
        """Columns of the CSV file."""
        return [self.subject, "given", "suggested", "score", "reason"]

    def cells(self) -> list[list[str]]:
        """Rows of the CSV file."""
        return [[f.subject, f.given, f.suggested, f"{f.score:.4f}", f.reason] for f in self.lines]

    def to_json(self) -> dict[str, Any]:
        shown = [
            {self.subject: f.subject, "given": f.given, "suggested": f.suggested, "score": f.score, "reason": f.reason}
            for f in self.lines[:SHOWN]
        ]
        file = f"findings/{self.name}.csv" if self.lines else None
        return {
            "count": len(self.lines),
            "checked": self.checked,
            "rule": self.rule,
            "subject": self.subject,
            "file": file,
            "rows": shown,
            **self.facts,
        }
