"""What naive baselines read, pixel statistics, word counts or log-mel statistics, and the baseline on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data import image
from headstart.tasks.log_mel import log_mel_statistics
from headstart.types import Example, Prediction

# features of the training rows and of the test rows, and how much logistic regression on them is penalised (C)
NaiveFeatures = Callable[[Sequence[Example], Sequence[Example]], tuple[Any, Any, float]]
# fits to features of the training rows, predicts those of the test rows
NaiveFit = Callable[[Any, Sequence[Example], Any, Sequence[Example], Sequence[str], int, float], list[Prediction]]


@dataclass(frozen=True)
class Naive:
    """A simple model on features that no network made."""

    features: NaiveFeatures
    fit: NaiveFit

    def __call__(
        self, train: Sequence[Example], test: Sequence[Example], classes: Sequence[str], seed: int
    ) -> list[Prediction]:
        """Fit on the training rows, predict the test rows."""
        learnt, tested, c = self.features(train, test)
        return self.fit(learnt, train, tested, test, classes, seed, c)


def pixel_statistics(path: str) -> NDArray[np.float64]:
    """Brightness per channel (mean, spread, 16-bin histogram) and an 8x8 grey thumbnail, (118,)."""
    picture = image.load(path)
    small = np.asarray(picture.resize((64, 64)), dtype=np.float64) / 255  # (64, 64, 3)
    histograms = [np.histogram(small[..., c], bins=16, range=(0, 1))[0] / 4096 for c in range(3)]
    thumbnail = np.asarray(picture.convert("L").resize((8, 8)), dtype=np.float64).ravel() / 255
    return np.concatenate([small.mean((0, 1)), small.std((0, 1)), *histograms, thumbnail])


def of_images(train: Sequence[Example], test: Sequence[Example]) -> tuple[Any, Any, float]:
    """Pixel statistics, standardised."""
    return _standardised(pixel_statistics, train, test)


def of_recordings(train: Sequence[Example], test: Sequence[Example]) -> tuple[Any, Any, float]:
    """Log-mel statistics, standardised."""
    return _standardised(log_mel_statistics, train, test)


def of_texts(train: Sequence[Example], test: Sequence[Example]) -> tuple[Any, Any, float]:
    """TF-IDF of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2 if len(train) >= 200 else 1, max_features=50_000)
    try:
        fitted = vectorizer.fit_transform([e.input for e in train])
    except ValueError:  # no words at all: count characters instead
        vectorizer = TfidfVectorizer(analyzer="char", sublinear_tf=True)
        fitted = vectorizer.fit_transform([e.input for e in train])
    return fitted, vectorizer.transform([e.input for e in test]), 10.0


def _standardised(
    statistics: Callable[[str], NDArray[np.float64]], train: Sequence[Example], test: Sequence[Example]
) -> tuple[Any, Any, float]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        values = np.stack(list(pool.map(lambda e: statistics(e.input), [*train, *test])))
    mean, spread = values[: len(train)].mean(0), values[: len(train)].std(0)
    scaled = (values - mean) / np.where(spread > 1e-9, spread, 1.0)
    return scaled[: len(train)], scaled[len(train) :], 0.1


FEATURES: dict[str, NaiveFeatures] = {"image": of_images, "text": of_texts, "audio": of_recordings}
