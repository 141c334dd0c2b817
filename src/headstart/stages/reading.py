"""Compare a network with itself reading another part of each input, on the same development rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headstart.features import Extractor, extract
from headstart.metrics.intervals import paired_difference
from headstart.problem import Problem, Rows
from headstart.stages.context import Context
from headstart.stages.select import Selected
from headstart.types import Interval

LEVEL = 0.90  # of the interval of the difference


@dataclass(frozen=True)
class Compared:
    """Scores of the untuned head on both, lower is better; their difference, negative where the other reads better."""

    metric: str
    now: float
    other: float
    difference: Interval

    def told(self, other: str, now: str) -> str:
        """A phrase with all numbers. other, now: what is read by each ("with up to 3 windows")."""
        low, high = self.difference.low, self.difference.high
        return (
            f"{self.metric} {self.other:.3f} {other} against {self.now:.3f} {now}, on {self.difference.n} development "
            f"rows (90% interval of the difference {low:+.3f} to {high:+.3f})"
        )

    def to_json(self) -> dict[str, Any]:
        """Numbers for the log."""
        return {"now": self.now, "other": self.other, "difference": self.difference.to_json()}


def compare(
    context: Context, selected: Selected, extractor: Extractor, problem: Problem, rows: Rows, what: str
) -> Compared:
    """Features of these rows as the chosen backbone reads and as this other one does, and how well a head fits each."""
    head, examples = context.task.head, [context.dataset.examples[r] for r in rows]
    scores = []
    for each, its_problem in ((selected.extractor, selected.problem), (extractor, problem)):
        extract(each, examples, its_problem.backbone.views[:1], context.reporter, what)
        scores.append(head.candidate_score(its_problem, rows, context.reporter))
    now, other = scores
    groups = problem.groups[rows]
    found = paired_difference(other.numerators, now.numerators, now.denominators, groups, context.rng(9), LEVEL)
    return Compared(head.decision_metric.replace("_", "-"), now.value, other.value, found)
