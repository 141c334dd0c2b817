"""Odd pairs are told with the first rows they are found in; ordinary ones raise no alarm."""

from __future__ import annotations

from headstart.data.text_pairs import pair_notes
from headstart.types import Example


def pairs(count: int) -> list[Example]:
    texts = [
        (f"A sentence about the number {i} and more", f"Ein Satz über die Zahl {i} und mehr") for i in range(count)
    ]
    return [Example(f"row {i}", source, target, str(i), str(i)) for i, (source, target) in enumerate(texts)]


def test_ordinary_pairs_raise_no_alarm() -> None:
    assert pair_notes(pairs(40)) == []


def test_copies_and_lengths_that_do_not_belong_together_are_told() -> None:
    rows = pairs(40)
    rows[3] = Example("row 3", "The  same text here", "the same text here", "3", "3")
    rows[7] = Example("row 7", rows[7].input, "Ja", "7", "7")
    copied, odd = pair_notes(rows)
    assert copied == "1 of 40 targets are the same as their source (row 3)"
    assert odd.startswith("1 of 40 targets are more than 6 times longer or shorter") and "(row 7)" in odd


def test_of_a_word_or_two_the_ratio_says_nothing() -> None:
    rows = pairs(40)
    rows[7] = Example("row 7", "No", "Auf keinen Fall", "7", "7")
    assert pair_notes(rows) == []
