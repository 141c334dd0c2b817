"""Images, texts or recordings to any number of labels each: the class tasks, with another head and other measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headstart.heads.multi_label import MultiLabelHead
from headstart.tasks import audio_classification, image_classification, text_classification
from headstart.tasks.label_set_scores import score_label_sets
from headstart.tasks.naive_features import FEATURES
from headstart.tasks.naive_label_sets import logistic_label_sets
from headstart.tasks.random_weights import RandomWeightControl
from headstart.tasks.task import Task
from headstart.types import Example, Prediction

HEAD = MultiLabelHead()


@dataclass(frozen=True)
class _Naive:
    """The class task's features with one logistic regression for each label."""

    modality: str

    def __call__(
        self, train: Sequence[Example], test: Sequence[Example], classes: Sequence[str], seed: int
    ) -> list[Prediction]:
        learnt, tested, c = FEATURES[self.modality](train, test)
        return logistic_label_sets(learnt, train, tested, test, classes, seed, c)


def _of(task: Task) -> Task:
    return replace(
        task,
        name=f"multi-label-{task.name}",
        target_kind="labels",
        head=HEAD,
        headline="f1_per_input",
        headline_unit="points of F1",
        score=score_label_sets,
        naive=_Naive(task.modality),
        control=RandomWeightControl(HEAD),
        uncertainty=None,
        label_curve=None,
        exclusive_classes=False,
    )


TASKS = tuple(_of(module.TASK) for module in (image_classification, text_classification, audio_classification))
