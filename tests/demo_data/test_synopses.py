"""Descriptions and their one line; paragraphs of two languages are paired only where they belong together."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from headstart.demo_data import debian, synopses
from headstart.demo_data.control_fields import Package
from headstart.types import Silent

LONG = "A program that shows pictures of cats in a window, and lets you print them on paper."


def row(number: int, description: str = LONG) -> debian.Row:
    return debian.Row(f"show cats {number}\n{description}", "graphics", f"source{number}", f"package{number}")


def test_descriptions_of_a_few_words_or_of_pages_are_left_out() -> None:
    found = synopses.pairs([row(1), row(2, "Cats."), row(3, LONG * 20)])
    assert found == [(LONG, "show cats 1", "source1")]


def test_the_table_has_the_columns_that_fit_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "usable_rows", lambda root, reporter: [row(n) for n in range(9)])
    file = synopses.prepare(tmp_path, Silent(), count=5)
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5 and set(rows[0]) == {"document", "summary", "origin"}
    from headstart.data import folders
    from headstart.data.columns import infer

    columns = infer(folders.read(file), group_column="origin")
    assert (columns.input, columns.target, columns.is_summary) == ("document", "summary", True)


@pytest.mark.parametrize(
    ("theirs", "count"), [("Erster.\n\nZweiter.", 3), ("Alles in einem.", 1), ("Erster.\n\n- eins\n- zwei", 2)]
)
def test_paragraphs_are_paired_where_both_sides_have_as_many(theirs: str, count: int) -> None:
    ours = Package("p", "p", "net", "cat viewer", "First.\n\nSecond.")
    other = Package("p", "p", "net", "Katzenbetrachter", theirs)
    found = synopses._aligned(ours, other)
    assert len(found) == count and found[0] == ("cat viewer", "Katzenbetrachter")
