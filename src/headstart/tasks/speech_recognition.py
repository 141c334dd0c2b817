"""Recordings to text."""

from __future__ import annotations

from dataclasses import replace

from headstart.features import extract, features_of
from headstart.heads.seq2seq import Seq2SeqHead
from headstart.problem import Problem, Rows, spread_evenly
from headstart.tasks.task import Control, ControlSetup, Task
from headstart.tasks.transcript_scores import score_transcripts

HEAD = Seq2SeqHead()


def untouched_control(problem: Problem, train: Rows, test: Rows, setup: ControlSetup) -> Control:
    """The pretrained model as it came, on test rows spread evenly."""
    del train
    test = spread_evenly(test, setup.max_test)
    views = problem.backbone.views[:1]
    examples = [problem.dataset.examples[r] for r in test]
    extract(setup.extractor, examples, views, setup.reporter, "Untouched model: encoding")
    features = features_of(setup.extractor, problem.dataset.examples, views)
    part = replace(problem, features=features, memo={})
    outputs = HEAD.base_outputs(part, None, test, setup.reporter)
    return Control("untouched model", HEAD.predictions(part, outputs, test), None, 0, test)


TASK = Task(
    name="speech-recognition",
    modality="audio",
    target_kind="text",
    head=HEAD,
    untuned="untouched",
    headline="wer",
    headline_unit="points of word error rate",
    lower_is_better=True,
    cross_validate_small=False,
    decision_folds=1,
    score=score_transcripts,
    naive_name="",
    naive=None,
    control=untouched_control,
    control_passes=(0, 1),
    control_test_rows=10_000,
    choose_decoding=HEAD.choose_decoding,
    uncertainty=None,
)
