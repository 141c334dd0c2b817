import jiwer
import pytest

from headstart.metrics.speech import (
    cer,
    english_normalise,
    normalise,
    row_character_errors,
    row_errors,
    wer,
    word_errors,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,   WORLD!", "hello world"),
        ("Don’t  stop: it's 'fine'", "don't stop it's fine"),
        ("well-known — 5%", "well known 5"),
        ("ÉCOLE Straße Ñandú", "école straße ñandú"),
        ("नमस्ते, दुनिया।", "नमस्ते दुनिया"),
        ("so\u00adft\u200b\ttab\n", "soft tab"),
        ("dogs' rock 'n' roll", "dogs rock n roll"),
        (" ... ", ""),
    ],
)
def test_normalise(text, expected):
    assert normalise(text) == expected
    assert normalise(expected) == expected


def test_errors_worked_by_hand():
    # "the cat sat" -> "the hat sat down": one substitution, one insertion.
    assert row_errors("The cat sat.", "the hat sat down") == (2, 3)
    assert row_character_errors("ab c", "ab") == (2, 4)


def test_corpus_rates_equal_jiwer():
    pairs = [("the cat sat", "the cat sat down"), ("a b c d", "a x c"), ("hello", "hello")]
    references, hypotheses = [p[0] for p in pairs], [p[1] for p in pairs]
    assert wer(pairs) == pytest.approx(jiwer.wer(references, hypotheses))
    assert cer(pairs) == pytest.approx(jiwer.cer(references, hypotheses))


def test_empty_references_count_as_insertions():
    assert row_errors("", "two words") == (2, 0)
    assert row_errors("...", "") == (0, 0)
    assert row_errors("two words", "") == (2, 2)
    assert row_character_errors("!", "ab") == (2, 0)
    assert wer([("", "one"), ("a b", "a b")]) == pytest.approx(1 / 2)
    assert wer([("", "")]) == 0.0


def test_english_normaliser_expands_and_counts():
    assert english_normalise("I won't pay twenty-five dollars, uh, [laughs]") == "i will not pay $25"
    assert wer([("I can't", "I can not")], english_normalise) == 0.0


def test_kinds_of_error_and_what_was_taken_for_what() -> None:
    pairs = [
        ("press one now", "press won now"),
        ("press one now", "press won"),
        ("", "hello"),
        ("goodbye", "oh goodbye"),
    ]
    kinds = word_errors(pairs)
    assert (kinds.substitutions, kinds.deletions, kinds.insertions) == (2, 1, 2)
    assert kinds.confused == {("one", "won"): 2}
    assert kinds.missed == {"now": 1}
    assert kinds.added == {"hello": 1, "oh": 1}
    assert sum(row_errors(*pair)[0] for pair in pairs) == 5
