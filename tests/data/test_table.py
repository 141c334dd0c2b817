"""Tables as people really have them: read whole, or refused with the line and the fix."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from headstart.data.table import read_table
from headstart.errors import DataError


def table(tmp_path: Path, content: str | bytes, name: str = "data.csv"):
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(file)


def values(read) -> list[tuple[str, ...]]:
    return [tuple(row.values.values()) for row in read.rows]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_the_header_has(tmp_path, separator):
    read = table(tmp_path, f"text{separator}label\ngood, really{separator}pos\n".replace(", ", " "))
    assert read.columns == ("text", "label")
    assert values(read) == [("good really", "pos")]


def test_separators_inside_a_quoted_header_do_not_count(tmp_path):
    read = table(tmp_path, '"text, as written, by us";label\nfine;pos\n')
    assert read.columns == ("text, as written, by us", "label")


def test_a_tsv_keeps_commas_and_a_tsv_with_commas_only_is_still_read(tmp_path):
    assert values(table(tmp_path, "text, or so\tlabel\na,b,c\tx\n", "a.tsv")) == [("a,b,c", "x")]
    assert table(tmp_path, "text,label\na,b\n", "b.tsv").columns == ("text", "label")


def test_quoted_cells_hold_newlines_separators_and_quotes(tmp_path):
    read = table(tmp_path, 'text,label\n"two\nlines, and a ""quote""",x\r\nplain,y\r\n')
    assert values(read) == [('two\nlines, and a "quote"', "x"), ("plain", "y")]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_unicode_line_separators_are_text_not_row_ends(tmp_path, separator):
    assert values(table(tmp_path, f"text,label\none{separator}two,x\n")) == [(f"one{separator}two", "x")]
    if separator >= " ":  # JSON does not allow control characters
        line = json.dumps({"text": f"one{separator}two", "label": "x"}, ensure_ascii=False)
        assert values(table(tmp_path, line + "\n", "a.jsonl")) == [(f"one{separator}two", "x")]


def test_a_quote_never_closed_is_refused_with_its_line_not_swallowing_the_rest(tmp_path):
    with pytest.raises(DataError, match=r"line 3: a quote is opened and never closed.*double it"):
        table(tmp_path, 'text,label\nfine,x\n"oops,y\nmore,x\nmore,y\n')


def test_old_mac_line_ends_and_no_newline_at_the_end(tmp_path):
    assert values(table(tmp_path, "text,label\ra,x\rb,y")) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("encoding", "note"), [("utf-8-sig", None), ("utf-16", "UTF-16"), ("cp1252", "read as Windows-1252")]
)
def test_encodings(tmp_path, encoding, note):
    read = table(tmp_path, "text,label\nGrüße – à bientôt,öffentlich\n".encode(encoding))
    assert read.columns == ("text", "label")
    assert values(read) == [("Grüße – à bientôt", "öffentlich")]
    assert [n for n in read.notes if note and note in n] or (note is None and not read.notes)


def test_too_many_cells_mark_the_row_and_too_few_are_noted(tmp_path):
    read = table(tmp_path, "text,label\ngood, I say,pos\nshort\nfine,neg,,\n")
    assert [bool(row.fault) for row in read.rows] == [True, False, False]
    assert "3 cells where the header has 2" in read.rows[0].fault
    assert read.rows[1].values == {"text": "short", "label": ""}
    assert read.notes == ["1 rows of data.csv have fewer cells than the header; the rest counts as empty"]


def test_blank_lines_are_no_rows_and_header_names_are_stripped(tmp_path):
    read = table(tmp_path, '\ntext , "label"\n\na,x\n\n')
    assert read.columns == ("text", "label")
    assert [row.id for row in read.rows] == ["row 1"]


def test_an_unnamed_index_column_gets_a_name(tmp_path):
    assert table(tmp_path, ",text,label\n0,a,x\n").columns == ("column 1", "text", "label")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label,text\na,b,c\n", "two columns named 'text'.*Rename"),
        ("text,label\n", "has no rows.*header"),
        ("", "is empty"),
        ("\n\n", "has no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\xff", "binary data.*Export"),
        (b"\x00\x01\x02\x03", "binary data"),
        (b"\xff\xfea", "cannot be read as csv"),
    ],
)
def test_what_cannot_be_a_csv_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        table(tmp_path, content)


def test_an_unknown_ending_names_the_ones_that_work(tmp_path):
    with pytest.raises(DataError, match=r"notes\.docx is not a table: \.docx\. Use \.csv.*folder"):
        table(tmp_path, "x", "notes.docx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "label": "x"}\n\n{"text": "b", "label"}\n', "line 3 is not JSON.*Mend"),
        ('{"text": "a"}\n["b"]\n', "line 2 is not an object"),
        ("[" * 100_000, "cannot be read|not JSON"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        table(tmp_path, content, "a.jsonl")


def test_json_lines_may_differ_in_fields_even_after_a_thousand_rows(tmp_path):
    lines = ['{"text": "a", "label": 1}'] * 1500 + ['{"text": "b", "label": null, "late": [1, "ä"]}']
    read = table(tmp_path, "\n".join(lines), "a.jsonl")
    assert read.columns == ("text", "label", "late")
    assert read.rows[-1].values == {"text": "b", "label": "", "late": '[1, "ä"]'}
    assert read.rows[0].values == {"text": "a", "label": "1", "late": ""}


@pytest.mark.parametrize(
    "content",
    [[{"text": "a", "label": "x"}], {"version": 1, "tags": ["t"], "data": [{"text": "a", "label": "x"}]}],
)
def test_json_is_a_list_of_objects_bare_or_under_a_key(tmp_path, content):
    assert values(table(tmp_path, json.dumps(content), "a.json")) == [("a", "x")]


@pytest.mark.parametrize("content", ['{"text": {"0": "a"}}', "[1, 2]", '"text"', "{"])
def test_other_json_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"not a list of objects|cannot be read as json"):
        table(tmp_path, content, "a.json")


def test_parquet_with_nulls_numbers_and_lists(tmp_path):
    file = tmp_path / "a.parquet"
    columns = {"text": ["a", None], "label": [1, 0], "score": [float("nan"), 0.5], "tags": [["x"], None]}
    parquet.write_table(pa.table(columns), file)
    assert values(read_table(file)) == [("a", "1", "", '["x"]'), ("", "0", "0.5", "")]


def test_parquet_with_pictures_inside_says_what_to_do(tmp_path):
    file = tmp_path / "a.parquet"
    pictures = [{"bytes": b"\x89PNG", "path": "a.png"}]
    parquet.write_table(pa.table({"image": pictures, "label": ["x"]}), file)
    with pytest.raises(DataError, match=r"embedded binary data.*image; save images.*as files"):
        read_table(file)
    parquet.write_table(pa.table({"thumbnail": pictures, "text": ["a"], "label": ["x"]}), file)
    read = read_table(file)
    assert read.columns == ("text", "label")
    assert "thumbnail" in read.notes[0]


def test_a_damaged_parquet_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as parquet"):
        table(tmp_path, b"PAR1 nonsense PAR1", "a.parquet")
