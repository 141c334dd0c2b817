"""What a word error rate is called in words."""

from __future__ import annotations

import pytest

from headstart.tasks.speech_recognition import reading


@pytest.mark.parametrize(("wer", "words"), [
    (0.04, ""), (0.1, ""), (0.19, "one word in 5 is wrong: read"), (0.35, "one word in 3 is wrong: too many"),
    (0.62, "6 of 10 words are wrong"), (1.04, "as many errors as words"),
])  # fmt: skip
def test_a_poor_word_error_rate_is_called_so(wer: float, words: str) -> None:
    assert words in reading(wer) and bool(reading(wer)) == bool(words)
