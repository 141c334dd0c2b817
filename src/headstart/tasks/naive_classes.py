"""Naive class baselines: logistic regression on features that no network made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headstart.types import Example, Prediction


def logistic_predictions(
    train_features: Any,
    train: Sequence[Example],
    test_features: Any,
    test: Sequence[Example],
    classes: Sequence[str],
    seed: int,
    c: float,
) -> list[Prediction]:
    """Fit scikit-learn's logistic regression and predict; classes unseen in training get probability 0."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, max_iter=300, random_state=seed)
    model.fit(train_features, [e.target for e in train])
    known = {name: i for i, name in enumerate(model.classes_)}
    found = []
    for example, values in zip(test, model.predict_proba(test_features)):
        chances = {name: float(values[known[name]]) if name in known else 0.0 for name in classes}
        best = classes[int(np.argmax([chances[name] for name in classes]))]
        found.append(Prediction(example.id, example.target, best, chances))
    return found
