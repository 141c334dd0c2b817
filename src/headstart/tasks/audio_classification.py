"""Recordings to one class each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from headstart.heads.classes import ClassHead
from headstart.tasks.class_scores import score_classes
from headstart.tasks.class_uncertainty import class_uncertainty
from headstart.tasks.label_curve import class_label_curve
from headstart.tasks.log_mel import log_mel_statistics
from headstart.tasks.naive_classes import logistic_predictions
from headstart.tasks.random_weights import random_weight_control
from headstart.tasks.task import Task
from headstart.types import Example, Prediction


def naive(train: Sequence[Example], test: Sequence[Example], classes: Sequence[str], seed: int) -> list[Prediction]:
    """Log-mel statistics, standardised, with logistic regression."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        values = np.stack(list(pool.map(lambda e: log_mel_statistics(e.input), [*train, *test])))
    mean, spread = values[: len(train)].mean(0), values[: len(train)].std(0)
    scaled = (values - mean) / np.where(spread > 1e-9, spread, 1.0)
    return logistic_predictions(scaled[: len(train)], train, scaled[len(train) :], test, classes, seed, c=0.1)


TASK = Task(
    name="audio-classification",
    modality="audio",
    target_kind="class",
    head=ClassHead(),
    untuned="head",
    headline="accuracy",
    headline_unit="points",
    lower_is_better=False,
    cross_validate_small=True,
    decision_folds=None,
    score=score_classes,
    naive_name="log-mel statistics + logistic regression",
    naive=naive,
    control=random_weight_control,
    control_passes=(1, 2),
    control_test_rows=500,
    choose_decoding=None,
    uncertainty=class_uncertainty,
    label_curve=class_label_curve,
)
