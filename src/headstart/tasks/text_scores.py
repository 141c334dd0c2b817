"""Score texts against their references: chrF and BLEU, or ROUGE, with intervals, and the worst and best ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.metrics import text as metrics
from headstart.metrics.intervals import interval, interval_of
from headstart.tasks.task import Scores
from headstart.types import Prediction

SHOWN_WORST = 8
SHOWN_BEST = 4


def chrf_loss(target: str, text: str) -> tuple[float, float]:
    """One minus chrF, as numerator and denominator of a mean."""
    return 1.0 - metrics.row_chrf(target, text), 1.0


def rouge_loss(target: str, text: str) -> tuple[float, float]:
    """One minus ROUGE-L, as numerator and denominator of a mean."""
    return 1.0 - metrics.row_rouge(target, text)["rougeL"], 1.0


def score_translations(
    predictions: Sequence[Prediction], groups: NDArray[np.int64], rng: np.random.Generator
) -> Scores:
    """chrF, the mean over texts (headline); chrF and BLEU of all texts together, as they are published."""
    pairs = [(p.target or "", p.text or "") for p in predictions]
    rows = np.array([metrics.row_chrf(*pair) for pair in pairs])
    found = {
        "chrf": interval(rows, np.ones(len(rows)), groups, rng),
        **{
            name: interval_of(metrics.CorpusScore.of(metric, *zip(*pairs)), len(pairs), groups, rng)
            for name, metric in (("chrf_corpus", "chrf"), ("bleu", "bleu"))
        },
    }
    details = {"examples": _shown(predictions, rows), "signatures": metrics.signatures()}
    return Scores(found, rows, np.ones(len(rows)), details)


def score_summaries(predictions: Sequence[Prediction], groups: NDArray[np.int64], rng: np.random.Generator) -> Scores:
    """ROUGE-L (headline), ROUGE-1 and ROUGE-2: F1, means over texts."""
    rows = [metrics.row_rouge(p.target or "", p.text or "") for p in predictions]
    ones = np.ones(len(rows))
    found = {
        name.replace("rougeL", "rouge_l"): interval(np.array([r[name] for r in rows]), ones, groups, rng)
        for name in ("rougeL", "rouge1", "rouge2")
    }
    longest = np.array([r["rougeL"] for r in rows])
    return Scores(found, longest, ones, {"examples": _shown(predictions, longest)})


def _shown(predictions: Sequence[Prediction], scores: NDArray[np.float64]) -> list[dict[str, Any]]:
    """The worst texts, then the best."""
    order = np.argsort(scores, kind="stable").tolist()
    worst = order[:SHOWN_WORST]
    best = [i for i in order[::-1][:SHOWN_BEST] if i not in worst]
    return [
        {
            "input": predictions[i].id,
            "target": predictions[i].target,
            "output": predictions[i].text,
            "note": f"{kind}: {100 * scores[i]:.0f} of 100",
            "score": float(scores[i]),
        }
        for kind, chosen in (("among the worst", worst), ("among the best", best))
        for i in chosen
    ]
