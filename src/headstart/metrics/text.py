"""How near a text is to its reference: chrF and BLEU by sacreBLEU, ROUGE by rouge-score."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUGE = ("rouge1", "rouge2", "rougeL")
_WORD = re.compile(r"\w+")


def row_chrf(reference: str, text: str) -> float:
    """Character n-gram F-score of one text, 0 to 1 (Popović 2015), as sacreBLEU computes it for a sentence."""
    return float(_chrf().sentence_score(text, [reference]).score) / 100


@dataclass(frozen=True)
class CorpusScore:
    """A score that is formed from the counts of all texts together: chrF, or BLEU (Papineni et al. 2002).

    counts: (N, K), of each text; they are counted once, so that any choice of texts is scored by a sum.
    """

    scorer: Any
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, metric: str, references: Sequence[str], texts: Sequence[str]) -> CorpusScore:
        """metric: "chrf" or "bleu", with sacreBLEU's own tokenisation."""
        scorer = {"chrf": _chrf, "bleu": _bleu}[metric]()
        # what sacreBLEU's own bootstrap adds up; its public one knows no groups
        counts = scorer._extract_corpus_statistics(list(texts), [list(references)])
        return cls(scorer, np.array(counts, dtype=np.float64))

    def __call__(self, rows: NDArray[np.int64]) -> float:
        """The score of these texts, 0 to 1; one may be among them several times."""
        return float(self.scorer._compute_score_from_stats(self.counts[rows].sum(0).astype(int).tolist()).score) / 100


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
