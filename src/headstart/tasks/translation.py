"""Texts to texts that say the same in another language or form."""

from __future__ import annotations

from headstart.heads.seq2seq import Seq2SeqHead
from headstart.tasks.naive_texts import NaiveTexts
from headstart.tasks.task import Task
from headstart.tasks.text_scores import chrf_loss, score_translations
from headstart.tasks.untouched import UntouchedControl

HEAD = Seq2SeqHead("chrf_loss", chrf_loss, beams=4, penalties=(0.6, 2.0))

TASK = Task(
    name="translation",
    modality="text",
    target_kind="text",
    head=HEAD,
    untuned="untouched",
    headline="chrf",
    headline_unit="points of chrF",
    lower_is_better=False,
    cross_validate_small=False,
    decision_folds=1,
    score=score_translations,
    naive_name="the text itself, its first sentence or the most similar text's answer",
    naive=NaiveTexts(chrf_loss),
    control=UntouchedControl(HEAD),
    control_passes=(0, 1),
    control_test_rows=300,
    choose_decoding=HEAD.choose_decoding,
    uncertainty=None,
    decision_rows=200,
)
