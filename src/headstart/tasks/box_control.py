"""The control of object detection: the closed-form head on maps of random weights, beside that on pretrained ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.data.scenes import tiles_of
from headstart.data.split import group_indices, label_indices
from headstart.heads.detection import DetectionHead
from headstart.heads.tiles import joined
from headstart.problem import Problem, Rows
from headstart.tasks.random_weights import RandomWeightControl, subset
from headstart.tasks.task import Control, ControlSetup
from headstart.types import Example, Prediction


@dataclass(frozen=True)
class BoxControl:
    """As for classes; test pictures are looked at in their tiles, and what is found there is joined."""

    head: DetectionHead

    def __call__(self, problem: Problem, train: Rows, test: Rows, setup: ControlSetup) -> Control:
        dataset = problem.dataset
        assert dataset.framing is not None, "set where targets are boxes"
        tiles = {int(row): tiles_of(dataset.examples[row], dataset.framing) for row in test}
        each = sum(map(len, tiles.values())) / max(1, len(test))
        test = subset(problem, test, max(2, int(setup.max_test / each)))
        train = subset(problem, train, setup.max_labels)
        shown = [tile for row in test for tile in tiles[int(row)]]
        examples = (*(dataset.examples[row] for row in train), *shown)
        part = replace(dataset, examples=examples, side={})
        flat = replace(problem, dataset=part, labels=label_indices(part), groups=group_indices(part), memo={})
        rows = np.arange(len(examples))
        whole = replace(setup, max_labels=len(train), max_test=len(shown))
        control = RandomWeightControl(self.head)(flat, rows[: len(train)], rows[len(train) :], whole)
        pictures = [dataset.examples[row] for row in test]
        answers = [
            [
                joined(picture, tiles[int(row)], own)
                for row, picture, own in zip(test, pictures, _by(found, test, tiles))
            ]
            for found in (control.predictions, control.transfer or [])
        ]
        return replace(control, predictions=answers[0], transfer=answers[1], rows=test)


def _by(found: Sequence[Prediction], test: Rows, tiles: dict[int, list[Example]]) -> list[Sequence[Prediction]]:
    """Predictions of all tiles, by picture."""
    ends = np.cumsum([len(tiles[int(row)]) for row in test]).tolist()
    return [found[end - len(tiles[int(row)]) : end] for row, end in zip(test, ends)]
