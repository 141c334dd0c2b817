"""Texts: what counts as empty, as equal, and as broken."""

from __future__ import annotations

import pytest

from headstart.data import text
from headstart.data.checked import UnusableInput


@pytest.mark.parametrize("value", ["", "   ", "\t\n\r", "\u00a0\u2003"])
def test_white_space_is_empty(value):
    with pytest.raises(UnusableInput, match="empty text"):
        text.check(value)


def test_half_a_character_is_refused_because_tokenizers_cannot_take_it():
    with pytest.raises(UnusableInput, match="half a character: unpaired surrogate at position 4"):
        text.check("good\ud83d")
    text.check("good \U0001f600")


def test_equal_looking_texts_are_near_but_not_the_same():
    one, other = text.check("The  Ｆｉｌｍ was\nGOOD "), text.check("the film was good")
    assert one.near == other.near
    assert one.digest != other.digest
    assert text.check("the film was bad").near != other.near


def test_a_very_long_text_is_fine():
    assert text.check("word " * 1_000_000).digest


def test_signs_of_a_wrong_encoding_are_said():
    assert "U+FFFD" in text.check("caf\ufffd").notes[0]
