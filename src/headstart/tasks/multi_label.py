"""Images, texts or recordings to any number of labels each: the class tasks, with another head and other measures."""

from __future__ import annotations

from dataclasses import replace

from headstart.heads.multi_label import MultiLabelHead
from headstart.tasks import audio_classification, image_classification, text_classification
from headstart.tasks.label_set_scores import score_label_sets
from headstart.tasks.naive_features import FEATURES, Naive
from headstart.tasks.naive_label_sets import logistic_label_sets
from headstart.tasks.random_weights import RandomWeightControl
from headstart.tasks.task import Task

HEAD = MultiLabelHead()


def _of(task: Task) -> Task:
    return replace(
        task,
        name=f"multi-label-{task.name}",
        target_kind="labels",
        head=HEAD,
        headline="f1_per_input",
        headline_unit="points of F1",
        score=score_label_sets,
        naive=Naive(FEATURES[task.modality], logistic_label_sets),
        control=RandomWeightControl(HEAD),
        uncertainty=None,
        label_curve=None,
        exclusive_classes=False,
    )


TASKS = tuple(_of(module.TASK) for module in (image_classification, text_classification, audio_classification))
