"""Where answers are costly a tuned network answers the rows that tell most; they count for the others as well."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.metrics.intervals import paired_difference
from headstart.stages.context import Rung
from headstart.stages.deciding import answered_rows
from headstart.types import Interval

SELECTED: Any = SimpleNamespace(problem=None)


def context_of(costly: bool = True, needs_all: bool = False) -> Any:
    """Outputs are numbers of errors, of ten words each."""
    head = SimpleNamespace(row_scores=lambda problem, outputs, rows: (np.asarray(outputs), np.full(len(rows), 10)))
    return SimpleNamespace(task=SimpleNamespace(decision_rows=200 if costly else None, head=head),
                           dataset=SimpleNamespace(examples=range(200)), needs_all_folds=needs_all)  # fmt: skip


def untouched(errors: Any, rows: Any) -> Rung:
    return Rung("untouched", "", Interval(0, 0, 0, len(rows)), np.asarray(errors), np.asarray(rows), 0.0)


def test_all_rows_with_an_error_are_answered_and_half_of_the_others_which_count_twice() -> None:
    held = np.arange(100, 200)
    errors = np.where(held % 3 == 0, 2, 0)  # 33 rows
    rows, weights = answered_rows(context_of(), SELECTED, untouched(errors, held), held)
    assert (np.diff(rows) > 0).all()
    assert set(held[errors > 0]) < set(rows)
    assert len(rows) == 33 + 34
    assert (weights[rows % 3 == 0] == 1).all() and np.ptp(weights[rows % 3 != 0]) == 0
    assert weights.sum() == pytest.approx(len(held))
    again, _ = answered_rows(context_of(), SELECTED, untouched(errors, held), held)
    assert (again == rows).all()  # by the next rung too
    errors[1] = 1  # a near tie on another machine
    other, _ = answered_rows(context_of(), SELECTED, untouched(errors, held), held)
    assert len(np.setxor1d(rows, other)) <= 2


@pytest.mark.parametrize(
    ("context", "right"),
    [(context_of(costly=False), 60), (context_of(needs_all=True), 60), (context_of(), 30)],
    ids=["cheap answers", "every row is scored", "few rows without an error"],
)
def test_else_all_are(context: Any, right: int) -> None:
    held = np.arange(100)
    rows, weights = answered_rows(context, SELECTED, untouched(np.where(held < right, 0, 1), held), held)
    assert (rows == held).all() and (weights == 1).all()


def test_rows_that_the_untouched_model_did_not_answer_are_all_answered() -> None:
    held = np.arange(100)
    rows, _ = answered_rows(context_of(), SELECTED, untouched(np.zeros(50), held[:50]), held)
    assert (rows == held).all()


def test_the_difference_is_unbiased_and_its_interval_holds() -> None:
    """A tuned model mends two thirds of the errors and makes new ones in a tenth of the other rows."""
    rng, found, covered = np.random.default_rng(0), [], 0
    expected = 0.35 * 3 * (-2 / 3) + 0.65 * 0.1
    for _ in range(200):
        held = np.arange(110)
        before = np.where(rng.random(110) < 0.35, 1 + rng.poisson(2, 110), 0)
        after = np.where(before > 0, rng.binomial(before, 1 / 3), rng.random(110) < 0.1)
        rows, weights = answered_rows(context_of(), SELECTED, untouched(before, held), held)
        assert len(rows) < 90
        difference = paired_difference(weights * after[rows], weights * before[rows], weights * 10, rows,
                                       np.random.default_rng(1), resamples=400)  # fmt: skip
        found.append(10 * difference.value)
        covered += 10 * difference.low <= expected <= 10 * difference.high
    assert np.mean(found) == pytest.approx(expected, abs=3 * np.std(found) / np.sqrt(200))
    assert covered >= 170  # of 200 at 90%
