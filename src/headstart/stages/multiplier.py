"""How many labels a network from random weights would need to be as good as transfer was with its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.budget import Clock
from headstart.data.nested import nested_sizes, nested_subsets
from headstart.metrics.learning_curve import FARTHEST, MIN_SIZES, MeasuredErrors, fit_power_law, precision
from headstart.problem import Rows
from headstart.stages.from_random import FromRandom
from headstart.types import Reporter

SEEDS = 5
SMALLEST_SHARE = 1 / 16  # of all labels
MOST_REPEATS = 4  # times the epochs, for subsets that make fewer steps an epoch
MIN_LABELS = 160


@dataclass(frozen=True)
class Multiplier:
    """times: labels that scratch needs, over those that transfer had; infinite where more than `most` times as many.

    low, high: 95% interval, drawing rows and trainings anew.
    """

    times: float
    low: float
    high: float
    most: float
    measured: MeasuredErrors

    def sentence(self) -> str:
        """For the report."""
        if not np.isfinite(self.times):
            return f"From random weights more than {self.most:.1f} times the labels would be needed."
        high = f"{self.high:.1f}" if np.isfinite(self.high) else f"more than {self.most:.1f}"
        return (
            f"From random weights about {self.times:.1f} times the labels would be needed (95% interval {self.low:.1f} "
            f"to {high})."
        )

    def to_json(self) -> dict[str, Any]:
        """What result.json holds."""
        return {
            "times": self.times if np.isfinite(self.times) else None,
            "low": self.low if np.isfinite(self.low) else None,
            "high": self.high if np.isfinite(self.high) else None,
            "more_than": None if np.isfinite(self.times) else self.most,
            "seeds": len(self.measured.errors),
            "points": [
                {"labels": int(n), "value": float(1 - e)} for n, e in zip(self.measured.sizes, self.measured.mean())
            ],
            "sentence": self.sentence(),
        }


def label_multiplier(
    random: FromRandom,
    rows: Rows,
    tested: Rows,
    transfer_wrong: npt.NDArray[np.float64],
    epochs: int,
    clock: Clock,
    reporter: Reporter,
) -> Multiplier | str:
    """Train from random weights on nested subsets, several times; or why that is not possible.

    transfer_wrong: (n,) whether transfer was wrong on each of the tested rows. epochs: that suit all rows; smaller
    subsets get as many steps, up to four times the epochs.
    """
    if len(rows) < MIN_LABELS:
        return f"{len(rows)} labels are too few for a curve"
    labels, groups = random.problem.labels[rows], random.problem.groups[rows]
    sizes = nested_sizes(round(SMALLEST_SHARE * len(rows)), len(rows), MIN_SIZES)
    seconds = _predicted(random, rows, sizes, epochs)
    if seconds > clock.left():
        left = f"{max(clock.left(), 0):.0f} s are left"
        return f"its {SEEDS * len(sizes)} trainings would take about {seconds:.0f} s, and {left}"
    codes = np.unique(random.problem.groups[tested], return_inverse=True)[1]
    count = int(codes.max()) + 1
    errors = np.zeros((SEEDS, len(sizes), count))
    for seed in range(SEEDS):
        rng = np.random.default_rng([random.problem.seed, seed])
        for k, part in enumerate(nested_subsets(labels, groups, sizes, rng)):
            repeats = _repeats(len(rows), len(part))
            module = random.build(random.problem.seed + 1 + seed)
            what = f"Label multiplier: {len(part)} labels, draw {seed + 1} of {SEEDS}"
            trained = random.fit(module, rows[part], round(repeats * epochs), reporter, what, lambda: clock.left() <= 0)
            if trained.stopped:
                return f"{trained.stopped}, in draw {seed + 1} of {SEEDS}"
            wrong = np.asarray(random.outputs(module, tested)).argmax(1) != random.problem.labels[tested]
            errors[seed, k] = np.bincount(codes, weights=wrong.astype(float), minlength=count)
    held = np.tile(np.bincount(codes, minlength=count).astype(float), (SEEDS, 1))
    transfer = np.bincount(codes, weights=transfer_wrong, minlength=count).astype(np.float64)
    return multiplier_of(MeasuredErrors(np.array(sizes), errors, held), transfer, len(rows), random.problem.seed)


def multiplier_of(
    measured: MeasuredErrors, transfer: npt.NDArray[np.float64], labels: int, seed: int, resamples: int = 400
) -> Multiplier:
    """Invert the curve from random weights at transfer's error.

    transfer: (G,) its wrong rows in each group. labels: that it learnt from. Nothing is said beyond four times the
    largest measured size.
    """
    rows = measured.rows[0]
    target = transfer.sum() / rows.sum()
    weights = np.random.default_rng([seed, 41]).multinomial(len(rows), np.full(len(rows), 1 / len(rows)), resamples)
    # the same draws of rows for both: they are scored on the same ones
    draws = measured.draws(np.random.default_rng([seed, 41]), resamples)
    targets = (weights @ transfer) / np.maximum(weights @ rows, 1.0)
    limit = FARTHEST * measured.sizes[-1]

    def times(sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(sizes <= limit, sizes, np.inf) / labels

    spread = precision(draws)
    central = times(fit_power_law(measured.sizes, measured.mean(), spread).size_for(np.array([target])))
    drawn = times(fit_power_law(measured.sizes, draws, spread).size_for(targets))
    ordered = np.sort(drawn)
    low, high = (float(ordered[round(q * (len(ordered) - 1))]) for q in (0.025, 0.975))
    return Multiplier(float(central[0]), low, high, limit / labels, measured)


def _predicted(random: FromRandom, rows: Rows, sizes: list[int], epochs: int) -> float:
    """Seconds of all trainings."""
    step_s = random.seconds_per_step(rows)
    steps = sum(max(1, round(_repeats(len(rows), n) * epochs)) * random.steps_per_epoch(rows[:n]) for n in sizes)
    return SEEDS * steps * step_s


def _repeats(all_rows: int, rows: int) -> float:
    return min(MOST_REPEATS, all_rows / max(1, rows))
