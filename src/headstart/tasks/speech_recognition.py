"""Recordings to text."""

from __future__ import annotations

from headstart.heads.seq2seq import Seq2SeqHead
from headstart.tasks.task import Task
from headstart.tasks.transcript_scores import score_transcripts
from headstart.tasks.untouched import UntouchedControl

HEAD = Seq2SeqHead()

# word error rates up to which transcripts are ready to use, and from which they are poor: "Evaluate and improve Custom
# Speech accuracy", Microsoft, learn.microsoft.com
GOOD, POOR = 0.10, 0.30


def reading(wer: float) -> str:
    """What a word error rate means for who reads the transcripts."""
    if wer <= GOOD:
        return ""
    if wer >= 1.0:
        return "There are as many errors as words: these transcripts say nothing about what was spoken."
    wrong = f"About one word in {round(1 / wer)}" if wer < 0.5 else f"{round(10 * wer)} of 10 words"
    verb = "is" if wer < 0.5 else "are"
    if wer < POOR:
        return f"{wrong} {verb} wrong: read the transcripts beside the recordings."
    return (
        f"{wrong} {verb} wrong: too many for use, even with corrections. A model that knows this language or these "
        "voices, or many more recordings, would be needed."
    )


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
    reading=reading,
)
