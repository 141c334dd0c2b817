"""Which column is what: inferred by name and content, overridden by flags, refused with the names seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.data.columns import infer
from headstart.data.table import RawTable, Row
from headstart.errors import DataError

SPEECH = ("audio", "text")


def table(columns: dict[str, list[str]]) -> RawTable:
    count = len(next(iter(columns.values())))
    rows = [Row(f"row {i + 1}", {c: v[i] for c, v in columns.items()}) for i in range(count)]
    return RawTable(rows, Path(), "table", tuple(columns))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": ["good film"], "label": ["pos"]}, ("text", "label", "text", "class")),
        ({"Review": ["good"], "id": ["1"], "on": ["x"], "Sentiment": ["1"]}, ("Review", "Sentiment", "text", "class")),
        ({"file_name": ["a.jpg"], "label": ["cat"]}, ("file_name", "label", "image", "class")),
        ({"photo": ["a.JPG"], "species": ["cat"]}, ("photo", "species", "image", "class")),
        ({"path": ["a.wav"], "transcription": ["hello"]}, ("path", "transcription", "audio", "text")),
        ({"file": ["a.flac"], "label": ["dog"]}, ("file", "label", "audio", "class")),
        ({"headline": ["a long piece of text"], "x": ["1"]}, ("headline", "x", "text", "class")),
    ],
)  # fmt: skip
def test_inference_by_names_and_endings(columns, expected):
    found = infer(table(columns))
    assert (found.input, found.target, found.modality, found.target_kind) == expected
    assert f"input {found.input!r}, target {found.target!r}" in found.sentence


@pytest.mark.parametrize(
    ("names", "summary"),
    [
        (("source", "target"), False),
        (("document", "summary"), True),
        (("article", "highlights"), True),
        (("translation.en", "translation.de"), False),
        (("en", "translation"), False),
        (("en", "de"), False),
        (("fra_Latn", "pt-BR"), False),
        (("text", "summary"), True),
    ],
)
def test_texts_to_texts_by_the_names_of_both_sides(names: tuple[str, str], summary: bool) -> None:
    first, second = ([f"{side} side of row {i} here" for i in range(40)] for side in ("this", "that"))
    found = infer(table({"id": [str(i) for i in range(40)], names[0]: first, names[1]: second}))
    assert (found.input, found.target, found.modality, found.target_kind) == (*names, "text", "text")
    assert found.is_summary == summary


def test_a_target_of_few_words_or_a_class_column_stays_a_class() -> None:
    texts = [f"some text number {i}" for i in range(60)]
    assert infer(table({"text": texts, "target": ["yes", "no"] * 30})).target_kind == "class"
    found = infer(table({"text": texts, "summary": texts, "label": ["yes", "no"] * 30}))
    assert (found.target, found.target_kind) == ("label", "class")
    wanted = infer(table({"text": texts, "summary": texts, "label": ["yes", "no"] * 30}), wanted=("text", "text"))
    assert (wanted.target, wanted.target_kind) == ("summary", "text")


def test_flags_override():
    given = table({"text": ["a"], "label": ["x"], "title": ["t"], "topic": ["y"], "author": ["me"]})
    found = infer(given, "title", "topic", "author")
    assert found.by_role() == {"input": "title", "target": "topic", "group": "author"}


def test_the_group_column_is_neither_input_nor_target():
    given = table({"patient": ["a very long name of a patient"], "note": ["short"], "label": ["x"]})
    found = infer(given, group_column="patient")
    assert (found.input, found.target) == ("note", "label")


def test_an_unknown_column_names_the_columns_and_the_nearest():
    given = table({"text": ["a"], "Label": ["x"]})
    with pytest.raises(
        DataError, match=r"no column 'label'; the columns are text, Label\. Did you mean .*-column Label\?"
    ):
        infer(given, target_column="label")
    with pytest.raises(DataError, match=r"columns are text, Label\. Name one of them with --input-column"):
        infer(given, input_column="zzz")


def test_one_column_cannot_be_both():
    with pytest.raises(DataError, match="both input and target"):
        infer(table({"text": ["a"], "label": ["x"]}), "text", "text")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("abcd", "which column is the input; the columns are a, b, c, d.*--input-column"),
        (["text", "b", "c"], "which column is the target; the columns are text, b, c.*--target-column"),
        (["text"], "no target column beside the input.*--target-column"),
    ],
)
def test_what_is_ambiguous_is_asked(columns, message):
    with pytest.raises(DataError, match=message):
        infer(table({name: ["1"] for name in columns}))


def test_a_table_of_only_the_target_has_no_input():
    with pytest.raises(DataError, match="no column left for the input"):
        infer(table({"label": ["x"]}), target_column="label")


def test_a_task_that_needs_another_kind_of_input_is_refused():
    with pytest.raises(DataError, match="needs recordings, but column 'text' holds texts"):
        infer(table({"text": ["a"], "label": ["x"]}), wanted=SPEECH)


def test_many_different_targets_of_recordings_are_transcripts():
    count = 60
    given = table({"path": [f"{i}.wav" for i in range(count)], "said": [f"word {i}" for i in range(count)]})
    assert infer(given).target_kind == "text"
    assert infer(given, wanted=("audio", "class")).target_kind == "class"
