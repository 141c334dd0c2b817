"""Conformal prediction: from scores of held-out rows to sets of classes that hold the true one as often as promised.

Nothing is assumed of the network, only that new inputs are drawn like the rows behind the scores. Where rows come in
groups, rows of one group count as one observation together, each with its share of it.
Sources: Vovk, Gammerman and Shafer 2005; Sadinle, Lei and Wasserman 2019 for the score, whose sets are the smallest on
average; Lee, Barber and Willett 2023 for groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError, SettingError

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-9  # of a count: shares of a group such as 1/3 do not add up to 1 exactly


@dataclass(frozen=True)
class CalibrationScores:
    """Scores of held-out rows; a higher one is a stranger row.

    scores: (n,), ascending. shares: (n,), of its group that each row makes up, so that they add up to the number of
    groups; all 1 where every row is a group of its own.
    """

    scores: Floats
    shares: Floats

    @classmethod
    def of(cls, scores: npt.NDArray[np.floating], groups: npt.NDArray[np.generic]) -> CalibrationScores:
        """From the rows' scores and groups, (n,) each; rows with the same group share one observation.

        Raises DataError without rows, for lengths that differ and for scores that are not finite.
        """
        values = np.asarray(scores, dtype=np.float64)
        if values.ndim != 1 or not len(values) or len(groups) != len(values):
            raise DataError(f"Scores have shape {values.shape} for {len(groups)} groups. Pass one of each per row.")
        if not np.isfinite(values).all():
            raise DataError("Some scores are not finite. Check the probabilities or features they come from.")
        _, code, size = np.unique(groups, return_inverse=True, return_counts=True)
        order = np.argsort(values, kind="stable")
        return cls(values[order], (1.0 / size[code])[order])

    @property
    def groups(self) -> int:
        """Number of independent groups of rows."""
        return round(float(self.shares.sum()))

    @property
    def smallest_alpha(self) -> float:
        """No smaller error rate can be promised: 1 / (groups + 1)."""
        return 1.0 / (self.groups + 1)

    def threshold(self, alpha: float) -> float:
        """The score that a new row exceeds with a probability of at most alpha.

        Of n single rows it is the ceil((n + 1)(1 - alpha))-th smallest score; in groups, the smallest score up to which
        the shares add up to (groups + 1)(1 - alpha).
        Raises SettingError where alpha lies outside 0..1 or below 1 / (groups + 1).
        """
        check_alpha(alpha)
        if alpha < self.smallest_alpha - TOLERANCE:
            raise SettingError(
                f"abstain is {alpha:g}, but {self.groups} independent groups of rows support "
                f"{_rounded_up(self.smallest_alpha):g} and more, 1 in {self.groups + 1}. Give a larger share, or fit "
                "with more rows."
            )
        wanted = (self.groups + 1) * (1.0 - alpha)
        place = int(np.searchsorted(np.cumsum(self.shares), wanted - TOLERANCE * self.groups))
        return float(self.scores[min(place, len(self.scores) - 1)])

    def p_values(self, scores: npt.NDArray[np.floating]) -> Floats:
        """Probability (m,) of a score at least as high, for rows drawn like these, the new row itself counted in."""
        from_here = np.append(np.cumsum(self.shares[::-1])[::-1], 0.0)  # (n + 1,)
        at_least = from_here[np.searchsorted(self.scores, np.asarray(scores, dtype=np.float64), side="left")]
        return np.asarray((1.0 + at_least) / (self.groups + 1))


def check_alpha(alpha: float) -> None:
    """Raise SettingError unless alpha is a share above 0 and below 1."""
    if not 0.0 < alpha < 1.0:
        raise SettingError(f"abstain is {alpha:g}; give a share above 0 and below 1, for example 0.05.")


def true_class_scores(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> Floats:
    """One minus the probability of the true class, (N,), from probabilities (N, C) and labels (N,)."""
    chosen = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), labels]
    return np.asarray(1.0 - chosen)


def prediction_sets(probabilities: npt.NDArray[np.floating], threshold: float) -> npt.NDArray[np.bool_]:
    """Which classes belong to each row's set, (N, C): those whose score is not above the threshold.

    The most probable class always belongs. Without it a network that is right more often than promised would be made
    to answer with empty sets; with it coverage can only rise.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    sets = 1.0 - values <= threshold
    sets[np.arange(len(values)), values.argmax(1)] = True
    return np.asarray(sets)


def promise(alpha: float) -> str:
    """What a set at this alpha promises, as a sentence."""
    return (
        f"Of inputs drawn like the development rows, at most {100 * alpha:g}% get a set without their true class. This "
        "holds on average over all inputs, not for each class, and not for inputs from elsewhere."
    )


def _rounded_up(value: float) -> float:
    return float(np.ceil(value * 1e4) / 1e4)
