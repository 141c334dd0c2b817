"""Score transcripts: word and character error rate with intervals, and the worst ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.metrics import speech as metrics
from headstart.metrics.intervals import interval
from headstart.tasks.task import Scores
from headstart.types import Prediction

SHOWN_MISTAKES = 12
SHOWN_WORDS = 8


def score_transcripts(predictions: Sequence[Prediction], groups: NDArray[np.int64], rng: np.random.Generator) -> Scores:
    """Word error rate (headline: lower-cased, punctuation dropped), with the English normaliser, and by character."""
    pairs = [(p.target or "", p.text or "") for p in predictions]
    words = _rates([metrics.row_errors(*pair) for pair in pairs])
    english = _rates([metrics.row_errors(*pair, metrics.english_normalise) for pair in pairs])
    letters = _rates([metrics.row_character_errors(*pair) for pair in pairs])
    found = {
        "wer": interval(words[0], words[1], groups, rng),
        "wer_english_normaliser": interval(english[0], english[1], groups, rng),
        "cer": interval(letters[0], letters[1], groups, rng),
    }
    details = {"examples": _worst(predictions, words[0]), "word_errors": _kinds(pairs)}
    return Scores(found, words[0], words[1], details)


def _kinds(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """How many words were taken for others, missed or added, and which ones most often."""
    kinds = metrics.word_errors(pairs)
    return {
        "substitutions": kinds.substitutions,
        "deletions": kinds.deletions,
        "insertions": kinds.insertions,
        "confused": [{"said": a, "heard": b, "n": n} for (a, b), n in kinds.confused.most_common(SHOWN_WORDS)],
        "missed": [{"word": word, "n": n} for word, n in kinds.missed.most_common(SHOWN_WORDS)],
        "added": [{"word": word, "n": n} for word, n in kinds.added.most_common(SHOWN_WORDS)],
    }


def _rates(rows: list[tuple[int, int]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    errors, total = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    return errors, total


def _worst(predictions: Sequence[Prediction], errors: NDArray[np.float64]) -> list[dict[str, Any]]:
    order = [i for i in np.argsort(-errors, kind="stable") if errors[i] > 0][:SHOWN_MISTAKES]
    return [
        {
            "input": predictions[i].id,
            "target": predictions[i].target,
            "output": predictions[i].text,
            "note": f"{int(errors[i])} word errors",
            "score": float(errors[i]),
        }
        for i in order
    ]
