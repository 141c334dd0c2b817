"""Text scores: worked by hand where that is possible, else against the library's own corpus score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from headstart.metrics.text import CorpusScore, row_chrf, row_rouge, signatures


def test_equal_texts_are_perfect_and_texts_without_a_common_letter_are_not() -> None:
    assert row_chrf("ein roter Hund", "ein roter Hund") == pytest.approx(1.0)
    assert row_chrf("abc", "xyz") == 0.0
    assert row_rouge("the red cat", "the red cat") == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}


def test_rouge_worked_by_hand() -> None:
    # reference of 4 words, text of 3: 3 shared words, one shared pair (the cat), longest common sequence "the cat"
    found = row_rouge("the cat sat down", "down the cat")
    assert found["rouge1"] == pytest.approx(2 * 1.0 * 0.75 / 1.75)
    assert found["rouge2"] == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert found["rougeL"] == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))


def test_words_of_other_scripts_count() -> None:
    assert row_rouge("Über die Brücke", "die Brücke")["rouge1"] == pytest.approx(2 * 1.0 * (2 / 3) / (1 + 2 / 3))
    assert row_rouge("красный кот", "красный кот")["rougeL"] == 1.0


def test_corpus_scores_sum_counts_before_the_score_is_formed() -> None:
    references, texts = ["the cat sat on the mat", "a dog"], ["the cat sat on the mat", "no"]
    # 6 of 7 words; pairs 5/5, triples 4/4, quadruples 3/3; 7 words for 8: brevity penalty exp(1 - 8/7)
    assert CorpusScore.of("bleu", references, texts)(np.arange(2)) == pytest.approx(
        (6 / 7) ** 0.25 * 2.718281828 ** (1 - 8 / 7), abs=1e-4
    )
    assert 0 < CorpusScore.of("chrf", references, texts)(np.arange(2)) < 1
    assert signatures()["bleu"].startswith("nrefs:1") and "version:" in signatures()["chrf"]


@pytest.mark.parametrize(("metric", "library"), [("bleu", BLEU), ("chrf", CHRF)])
def test_any_choice_of_texts_scores_as_the_library_scores_it(metric: str, library: Any) -> None:
    rng = np.random.default_rng(0)
    words = ["the", "a", "cat", "dog", "is", "was", "here", "there", "red", "blue"]
    references = [" ".join(rng.choice(words, size=rng.integers(1, 9))) for _ in range(40)]
    texts = [" ".join(rng.permutation(r.split())[: rng.integers(1, 9)]) for r in references]
    score = CorpusScore.of(metric, references, texts)
    for _ in range(5):
        rows = rng.integers(40, size=40)
        expected = library().corpus_score([texts[r] for r in rows], [[references[r] for r in rows]]).score / 100
        assert score(rows) == pytest.approx(expected, abs=1e-9)
