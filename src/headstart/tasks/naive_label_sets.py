"""Naive baseline for several labels: one logistic regression for each, on features that no network made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headstart.data.label_sets import labels_of
from headstart.types import Example, Prediction

THRESHOLD = 0.5


def logistic_label_sets(
    train_features: Any,
    train: Sequence[Example],
    test_features: Any,
    test: Sequence[Example],
    classes: Sequence[str],
    seed: int,
    c: float,
) -> list[Prediction]:
    """Fit and predict; a label that all training rows have, or none, gets their share as its probability."""
    from sklearn.linear_model import LogisticRegression

    known = [set(labels_of(e.target)) for e in train]
    chances = np.zeros((len(test), len(classes)))
    for column, name in enumerate(classes):
        has = np.array([name in labels for labels in known])
        if has.all() or not has.any():
            chances[:, column] = has.mean()
            continue
        model = LogisticRegression(C=c, max_iter=300, random_state=seed).fit(train_features, has)
        chances[:, column] = model.predict_proba(test_features)[:, 1]
    return [
        Prediction(
            example.id,
            example.target,
            probabilities=dict(zip(classes, map(float, row))),
            labels=tuple(name for name, p in zip(classes, row) if p >= THRESHOLD),
        )
        for example, row in zip(test, chances)
    ]
