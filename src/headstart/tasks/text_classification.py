"""Texts to one class each."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.heads.classes import ClassHead
from headstart.tasks.class_scores import score_classes
from headstart.tasks.class_uncertainty import class_uncertainty
from headstart.tasks.label_curve import class_label_curve
from headstart.tasks.naive_classes import logistic_predictions
from headstart.tasks.random_weights import random_weight_control
from headstart.tasks.task import Task
from headstart.types import Example, Prediction


def naive(train: Sequence[Example], test: Sequence[Example], classes: Sequence[str], seed: int) -> list[Prediction]:
    """TF-IDF of words with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2 if len(train) >= 200 else 1, max_features=50_000)
    try:
        fitted = vectorizer.fit_transform([e.input for e in train])
    except ValueError:  # no words at all: count characters instead
        vectorizer = TfidfVectorizer(analyzer="char", sublinear_tf=True)
        fitted = vectorizer.fit_transform([e.input for e in train])
    return logistic_predictions(
        fitted, train, vectorizer.transform([e.input for e in test]), test, classes, seed, c=10.0
    )


TASK = Task(
    name="text-classification",
    modality="text",
    target_kind="class",
    head=ClassHead(),
    untuned="head",
    headline="accuracy",
    headline_unit="points",
    lower_is_better=False,
    cross_validate_small=True,
    decision_folds=None,
    score=score_classes,
    naive_name="TF-IDF + logistic regression",
    naive=naive,
    control=random_weight_control,
    control_passes=(1, 2),
    control_test_rows=500,
    choose_decoding=None,
    uncertainty=class_uncertainty,
    label_curve=class_label_curve,
)
