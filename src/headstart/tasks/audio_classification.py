"""Recordings to one class each."""

from __future__ import annotations

from headstart.heads.classes import ClassHead
from headstart.tasks.class_scores import score_classes
from headstart.tasks.class_uncertainty import class_uncertainty
from headstart.tasks.label_curve import class_label_curve
from headstart.tasks.naive_classes import logistic_predictions
from headstart.tasks.naive_features import Naive, of_recordings
from headstart.tasks.random_weights import RandomWeightControl
from headstart.tasks.task import Task

HEAD = ClassHead()

TASK = Task(
    name="audio-classification",
    modality="audio",
    target_kind="class",
    head=HEAD,
    untuned="head",
    headline="accuracy",
    headline_unit="points",
    lower_is_better=False,
    cross_validate_small=True,
    decision_folds=None,
    score=score_classes,
    naive_name="log-mel statistics + logistic regression",
    naive=Naive(of_recordings, logistic_predictions),
    control=RandomWeightControl(HEAD),
    control_passes=(1, 2),
    control_test_rows=500,
    choose_decoding=None,
    uncertainty=class_uncertainty,
    label_curve=class_label_curve,
)
