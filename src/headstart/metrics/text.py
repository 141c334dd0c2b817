"""How near a text is to its reference: chrF and BLEU by sacreBLEU, ROUGE by rouge-score."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

ROUGE = ("rouge1", "rouge2", "rougeL")
_WORD = re.compile(r"\w+")


def row_chrf(reference: str, text: str) -> float:
    """Character n-gram F-score of one text, 0 to 1 (Popović 2015), as sacreBLEU computes it for a sentence."""
    return float(_chrf().sentence_score(text, [reference]).score) / 100


def corpus_chrf(references: Sequence[str], texts: Sequence[str]) -> float:
    """ChrF of all texts together, 0 to 1: counts are summed before the score is formed."""
    return float(_chrf().corpus_score(list(texts), [list(references)]).score) / 100


def corpus_bleu(references: Sequence[str], texts: Sequence[str]) -> float:
    """BLEU of all texts together, 0 to 1 (Papineni et al. 2002), with sacreBLEU's own tokenisation."""
    return float(_bleu().corpus_score(list(texts), [list(references)]).score) / 100


def signatures() -> dict[str, str]:
    """SacreBLEU's signatures: a score means nothing without its settings. Known once something was scored."""
    return {"chrf": str(_chrf().get_signature()), "bleu": str(_bleu().get_signature())}


def row_rouge(reference: str, text: str) -> dict[str, float]:
    """F1 of shared single words (rouge1), pairs of words (rouge2) and the longest common sequence (rougeL), 0 to 1.

    Words are runs of letters and digits of any script, in lower case, not stemmed. Source: Lin 2004.
    """
    found = _rouge().score(reference, text)
    return {name: float(found[name].fmeasure) for name in ROUGE}


class _Words:
    """Rouge-score's own tokenizer knows ASCII letters only."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


@functools.cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF()
    scorer.corpus_score(["a"], [["a"]])  # the signature is complete from then on
    return scorer


@functools.cache
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU()
    scorer.corpus_score(["a"], [["a"]])
    return scorer


@functools.cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE), tokenizer=_Words())
