"""Recordings to text."""

from __future__ import annotations

from headstart.heads.seq2seq import Seq2SeqHead
from headstart.tasks.task import Task
from headstart.tasks.transcript_scores import score_transcripts
from headstart.tasks.untouched import UntouchedControl

HEAD = Seq2SeqHead()

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
    decision_rows=400,
    score=score_transcripts,
    naive_name="",
    naive=None,
    control=UntouchedControl(HEAD),
    control_passes=(0, 1),
    control_test_rows=10_000,
    choose_decoding=HEAD.choose_decoding,
    uncertainty=None,
)
