"""Baselines of texts to texts without a network: the text itself, its first sentence, the nearest text's answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.types import Example, Prediction

_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n")
COMPARED = 300  # development texts by which the best of the three is chosen
RowLoss = Callable[[str, str], tuple[float, float]]


def first_sentence(text: str) -> str:
    """Up to the first full stop, question or exclamation mark before white space, or the first line's end."""
    return _SENTENCE.split(text.strip(), maxsplit=1)[0]


def nearest_targets(train: Sequence[Example], test: Sequence[Example], same: bool = False) -> list[str]:
    """For each test text the target of the most similar training text, by TF-IDF.

    same: test is a part of train, and a text of its own group does not count.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    try:
        known = vectors.fit_transform([e.input for e in train])
    except ValueError:  # no word in any text
        return [train[0].target or ""] * len(test)
    groups = np.array([e.group for e in train])
    found = []
    for start in range(0, len(test), 256):
        part = test[start : start + 256]
        similar = (vectors.transform([e.input for e in part]) @ known.T).toarray()  # (n, train)
        for row, example in zip(similar, part):
            if same:
                row[groups == example.group] = -1.0
            found.append(train[int(row.argmax())].target or "")
    return found


@dataclass(frozen=True)
class NaiveTexts:
    """The best of three baselines, chosen on training texts."""

    row_loss: RowLoss

    def __call__(
        self, train: Sequence[Example], test: Sequence[Example], classes: Sequence[str], seed: int
    ) -> list[Prediction]:
        """Texts of the baseline that does best on up to 300 training texts."""
        del classes
        rng = np.random.default_rng(seed)
        compared = [train[i] for i in rng.permutation(len(train))[:COMPARED]]
        ways: dict[str, tuple[list[str], Callable[[], list[str]]]] = {
            "copy": ([e.input for e in compared], lambda: [e.input for e in test]),
            "first": ([first_sentence(e.input) for e in compared], lambda: [first_sentence(e.input) for e in test]),
            "nearest": (nearest_targets(train, compared, same=True), lambda: nearest_targets(train, test)),
        }
        losses = {name: self._mean(compared, made) for name, (made, _) in ways.items()}
        answers = ways[min(losses, key=lambda name: losses[name])][1]()
        return [Prediction(e.id, e.target, text=text) for e, text in zip(test, answers)]

    def _mean(self, examples: Sequence[Example], texts: Sequence[str]) -> float:
        return float(np.mean([self.row_loss(e.target or "", text)[0] for e, text in zip(examples, texts)]))
