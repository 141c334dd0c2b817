"""Two columns of texts made one, and how tokenizers see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.data.table import RawTable, Row
from headstart.data.text_columns import like_trained, with_pairs
from headstart.errors import DataError
from headstart.stock.pairs import SEPARATOR, tokens
from headstart.types import PAIR


def table(*columns: str, rows: tuple[tuple[str, ...], ...] = (("a", "b", "x"),)) -> RawTable:
    found = [Row(f"row {n}", dict(zip(columns, values))) for n, values in enumerate(rows, 1)]
    return RawTable(found, Path(), "table", columns)


def test_known_names_beside_a_class_are_joined() -> None:
    made, column = with_pairs(table("premise", "Hypothesis", "label"), None, None)
    assert column == "premise + Hypothesis"
    assert made.columns == ("premise + Hypothesis", "label")
    assert made.rows[0].values == {"premise + Hypothesis": f"a{SEPARATOR}b", "label": "x"}


def test_nothing_is_joined_without_a_class_or_where_one_column_is_named() -> None:
    plain = table("text1", "text2", "target")
    assert with_pairs(plain, None, None) == (plain, None)
    named = table("premise", "hypothesis", "label")
    assert with_pairs(named, "premise", None) == (named, "premise")


def test_named_columns_are_joined_and_checked() -> None:
    made, column = with_pairs(table("left", "right", "y"), "left", "right")
    assert column == "left + right"
    assert like_trained(table("left", "right", "y"), column).rows == made.rows
    with pytest.raises(DataError, match="no column 'wrong'"):
        with_pairs(table("left", "right", "y"), "left", "wrong")
    with pytest.raises(DataError, match="--input-column"):
        with_pairs(table("left", "right", "y"), None, "right")


def test_a_pair_of_which_one_text_is_empty_cannot_be_used() -> None:
    made, column = with_pairs(table("left", "right", "y", rows=(("a", " ", "x"),)), "left", "right")
    assert made.rows[0].values[column or ""] == ""


class Tokenizer:
    """Letters as numbers; marks: what it puts around and between."""

    def __init__(self, marks: bool) -> None:
        self.marks = marks

    def num_special_tokens_to_add(self, pair: bool) -> int:
        return (3 if pair else 2) if self.marks else 0

    def __call__(self, first: str | list[str], second: str | None = None) -> dict[str, object]:
        if isinstance(first, list):
            return {"input_ids": [list(map(ord, text)) for text in first]}
        return {"input_ids": [*map(ord, first), *([0, *map(ord, second)] if second is not None else [])]}


def test_a_pair_is_told_apart_from_one_text() -> None:
    assert SEPARATOR == PAIR
    pair = f"a{SEPARATOR}b"
    assert tokens(Tokenizer(True), ["ab", pair]) == [[97, 98], [97, 0, 98]]
    assert tokens(Tokenizer(False), [pair]) == [[97, 10, 98]]
    assert tokens(Tokenizer(True), ["ab", "c"]) == [[97, 98], [99]]
