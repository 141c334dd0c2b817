"""Control for class tasks: the same network with random weights, the same head, the same number of labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from headstart.data.folds import grouped_folds
from headstart.features import Extractor, extract, features_of, open_extractor
from headstart.heads.head import Head
from headstart.problem import Problem, Rows, spread_evenly
from headstart.runtime.choose import same_again
from headstart.runtime.torch import REFERENCE
from headstart.tasks.task import Control, ControlSetup
from headstart.types import Prediction, Silent

CALIBRATION_EXAMPLES = 32


@dataclass(frozen=True)
class RandomWeightControl:
    """Fit the head on random-weight and on pretrained features of the same rows; predict the test rows with both."""

    head: Head

    def __call__(self, problem: Problem, train: Rows, test: Rows, setup: ControlSetup) -> Control:
        return _control(self.head, problem, train, test, setup)


def _control(head: Head, problem: Problem, train: Rows, test: Rows, setup: ControlSetup) -> Control:
    calibrating = [problem.dataset.examples[r] for r in spread_evenly(train, CALIBRATION_EXAMPLES)]
    sample = [problem.backbone.encode(e, problem.backbone.views[0]) for e in calibrating]
    train, test = subset(problem, train, setup.max_labels), subset(problem, test, setup.max_test)
    used = np.concatenate([train, test])
    examples = [problem.dataset.examples[r] for r in used]
    random = problem.backbone.randomised(problem.seed, sample)
    pretrained = setup.extractor
    # without pooled features the head reads the state of the shallowest cut
    cuts = () if random.base_cut is None else (random.base_cut,)
    engine = setup.engine
    if engine == "torch":  # in one setting, whatever is fastest just now: each rounds in its way
        engine = same_again(pretrained.engine) if pretrained.engine.name == engine else f"torch {REFERENCE}"
    other = open_extractor(random, examples, pretrained.folder.parent, Silent(), engine, cuts, len(examples))
    before = _predict(head, problem, other, used, len(train), setup, "Random-weight control")
    after = _predict(head, problem, pretrained, used, len(train), setup, "Pretrained counterpart")
    return Control("same network with random weights, same head", before, after, len(train), test)


def _predict(
    head: Head, problem: Problem, extractor: Extractor, used: Rows, n_train: int, setup: ControlSetup, what: str
) -> list[Prediction]:
    """Fit on the first n_train of the used rows, predict the rest."""
    dataset = replace(problem.dataset, examples=tuple(problem.dataset.examples[r] for r in used))
    views = extractor.backbone.views[:1]
    extract(extractor, dataset.examples, views, setup.reporter, what)
    features = features_of(extractor, dataset.examples, views)
    part = Problem(dataset, extractor.backbone, features, problem.labels[used], problem.groups[used], problem.seed)
    rows = np.arange(len(used))
    base = head.fit_base(part, rows[:n_train]).base
    outputs = head.base_outputs(part, base, rows[n_train:], Silent())
    return head.predictions(part, outputs, rows[n_train:])


def subset(problem: Problem, rows: Rows, limit: int) -> Rows:
    """At most about `limit` of the rows: whole groups, stratified by class."""
    if len(rows) <= limit:
        return rows
    parts = grouped_folds(problem.labels[rows], problem.groups[rows], -(-len(rows) // limit), problem.seed + 2)
    return np.asarray(rows[parts == 0])
