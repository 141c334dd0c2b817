"""Two aligned files: lines are pairs, the source is told from the target, unequal lengths are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.data.columns import infer
from headstart.data.folders import read
from headstart.errors import DataError


def lines(file: Path, *texts: str) -> None:
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")


def test_train_and_test_pairs_become_rows_with_their_split(tmp_path: Path) -> None:
    lines(tmp_path / "train.de", "ein Hund", "eine Katze")
    lines(tmp_path / "train.en", "a dog", "a cat")
    lines(tmp_path / "test.de", "ein Vogel")
    lines(tmp_path / "test.en", "a bird")
    lines(tmp_path / "README.md", "not data")
    (tmp_path / "README.txt").write_text("neither")
    table = read(tmp_path)
    assert [(row.id, row.split) for row in table.rows] == [
        ("test line 1", "test"),
        ("train line 1", "train"),
        ("train line 2", "train"),
    ]
    assert table.rows[2].values == {"translation.en": "a cat", "translation.de": "eine Katze"}
    assert table.notes == ["line n of test.en belongs to line n of test.de",
                           "line n of train.en belongs to line n of train.de"]  # fmt: skip


def test_endings_that_name_a_summary_say_so(tmp_path: Path) -> None:
    long = [f"a long document number {i} about something" for i in range(40)]
    lines(tmp_path / "all.document", *long)
    lines(tmp_path / "all.summary", *(f"short form {i} of it" for i in range(40)))
    found = infer(read(tmp_path))
    assert (found.input, found.target, found.is_summary) == ("document", "summary", True)


def test_files_that_slipped_are_refused(tmp_path: Path) -> None:
    lines(tmp_path / "train.en", "a dog", "a cat")
    lines(tmp_path / "train.fr", "un chien")
    with pytest.raises(DataError, match=r"train\.en has 2 lines and train\.fr has 1"):
        read(tmp_path)
    (tmp_path / "train.fr").write_bytes(b"un chien\n\xe9t\xe9\n")
    with pytest.raises(DataError, match=r"train\.fr is not UTF-8 \(byte 9\)"):
        read(tmp_path)
