"""Naive texts: each of the three wins where it should, and a text never answers itself."""

from __future__ import annotations

import itertools

from headstart.tasks.naive_texts import NaiveTexts, first_sentence, nearest_targets
from headstart.tasks.text_scores import chrf_loss
from headstart.types import Example

WORDS = ["sun", "moon", "star", "rain", "snow", "wind", "leaf", "root", "bird", "fish", "stone", "sand", "hill", "lake"]


def example(i: int, text: str, target: str) -> Example:
    return Example(str(i), text, target, str(i), str(i))


def test_the_best_of_copy_first_sentence_and_neighbour_is_taken() -> None:
    naive = NaiveTexts(chrf_loss)
    copies = [example(i, f"{a} {b}", f"{a} {b}") for i, (a, b) in enumerate(itertools.pairwise(WORDS))]
    assert [p.text for p in naive(copies, copies[:2], (), 0)] == ["sun moon", "moon star"]
    leads = [example(i, f"A {a}. Then much more is told of {a} and others.", f"A {a}.") for i, a in enumerate(WORDS)]
    assert naive(leads, leads[:1], (), 0)[0].text == "A sun."
    twins = [example(i, f"{WORDS[i % 7]} number {i}", f"Lösung {i % 7}") for i in range(28)]
    assert naive(twins, [example(99, "sun number 99", "")], (), 0)[0].text == "Lösung 0"


def test_a_text_s_own_answer_does_not_count_while_choosing() -> None:
    rows = [example(0, "sun moon", "one"), example(1, "sun star", "two"), example(2, "rain snow", "three")]
    assert nearest_targets(rows, rows[:2], same=True) == ["two", "one"]
    assert nearest_targets(rows, rows[:2]) == ["one", "two"]


def test_texts_without_words_and_without_sentences_are_no_fault() -> None:
    rows = [example(0, "…", "x"), example(1, "!!", "y")]
    assert nearest_targets(rows, rows) == ["x", "x"]
    assert first_sentence("no end here") == "no end here"
    assert first_sentence("Version 1.2 is out. Get it.") == "Version 1.2 is out."
