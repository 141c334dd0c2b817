"""The control of tasks that begin with a model that already answers: that model as it came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from headstart.features import extract, features_of
from headstart.heads.seq2seq import Generator, Seq2SeqHead
from headstart.problem import Problem, Rows, spread_evenly
from headstart.tasks.task import Control, ControlSetup


@dataclass(frozen=True)
class UntouchedControl:
    """The pretrained model, untuned, on test rows spread evenly."""

    head: Seq2SeqHead

    def __call__(self, problem: Problem, train: Rows, test: Rows, setup: ControlSetup) -> Control:
        del train
        test = spread_evenly(test, setup.max_test)
        views = problem.backbone.views[:1]
        examples = [problem.dataset.examples[r] for r in test]
        if not problem.backbone.reads_targets:
            extract(setup.extractor, examples, views, setup.reporter, "Untouched model: encoding")
        features = features_of(setup.extractor, problem.dataset.examples, views)
        part = replace(problem, features=features, memo={})
        outputs = self.head.base_outputs(part, None, test, setup.reporter)
        able = cast(Generator, problem.backbone).answers_untouched
        name = "untouched model" if able else "untouched model (its new layer writes nothing yet)"
        return Control(name, self.head.predictions(part, outputs, test), None, 0, test)
