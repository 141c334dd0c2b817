"""Score sets of labels: F1 of an input's labels, average precision, and the inputs with the most mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.label_sets import labels_of, matrix_of
from headstart.metrics import multi_label as metrics
from headstart.metrics.intervals import interval, interval_of
from headstart.tasks.task import Scores
from headstart.types import Prediction

SHOWN_MISTAKES = 12
RESAMPLES = 100


def score_label_sets(predictions: Sequence[Prediction], groups: NDArray[np.int64], rng: np.random.Generator) -> Scores:
    """F1 of each input's labels, mean over inputs (headline); macro average precision, micro and macro F1, loss."""
    names = list(predictions[0].probabilities)
    probabilities = np.array([[p.probabilities[n] for n in names] for p in predictions])  # (n, C)
    has = _sets([labels_of(p.target) for p in predictions], names)
    chosen = _sets([p.labels or () for p in predictions], names)
    rows = metrics.row_f1(chosen, has)
    found = {
        "f1_per_input": interval(rows, np.ones(len(rows)), groups, rng),
        "binary_log_loss": interval(metrics.row_log_loss(probabilities, has), None, groups, rng),
    }
    of_all = {
        "macro_average_precision": lambda r: metrics.macro_average_precision(probabilities[r], has[r]),
        "micro_f1": lambda r: metrics.micro_f1(chosen[r], has[r]),
        "macro_f1": lambda r: metrics.macro_f1(chosen[r], has[r]),
    }
    found |= {name: interval_of(of, len(rows), groups, rng, resamples=RESAMPLES) for name, of in of_all.items()}
    details: dict[str, Any] = {
        "per_class": metrics.per_label(chosen, has, names),
        "examples": _mistakes(predictions, chosen, has),
    }
    return Scores(found, rows, np.ones(len(rows)), details)


def _sets(labels: Sequence[Sequence[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """As a matrix; labels that the model does not know count nowhere."""
    known = set(names)
    return matrix_of([known.intersection(each) for each in labels], names)


def _mistakes(
    predictions: Sequence[Prediction], chosen: NDArray[np.bool_], has: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Inputs with the most labels missing or too many."""
    wrong = (chosen ^ has).sum(1)
    order = [i for i in np.argsort(-wrong, kind="stable") if wrong[i]][:SHOWN_MISTAKES]
    return [
        {
            "input": predictions[i].id,
            "target": ", ".join(labels_of(predictions[i].target)) or "(none)",
            "output": ", ".join(predictions[i].labels or ()) or "(none)",
            "note": f"{int((has & ~chosen)[i].sum())} missing, {int((chosen & ~has)[i].sum())} too many",
            "score": float(wrong[i]),
        }
        for i in order
    ]
