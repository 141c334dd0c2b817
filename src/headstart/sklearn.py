"""A scikit-learn classifier: `fit(X, y)` on images, recordings or texts, with all that `headstart fit` does."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from headstart.data.modality import MODALITIES
from headstart.errors import HeadstartError

INPUT, TARGET, GROUP = "input", "label", "group"


class TransferClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A pretrained model with a new head, tuned as deep as held-out rows support.

    X: file names of images or recordings, texts, PIL images, or an array of images (n, height, width) or (n, height,
    width, channels), uint8 or floats from 0 to 1. y: (n,) class labels of any kind.

    The parameters are the options of `headstart fit`. test_size: share of the rows that is held out for the run's own
    score where there are 1,000 or more; as small as it may be, because your own cross-validation is the judge here.
    out: the run's folder; a new one under runs/ if left out. It must stay where it is: predictions come from it, after
    unpickling too.

    classes_: labels in the order of predict_proba's columns. run_: the run's folder, with its report. result_: the
    content of its result.json.

    Raises ValueError for what the caller can mend, with a sentence on how.
    """

    def __init__(
        self,
        model: str = "auto",
        budget: str | float = "5m",
        depth: str = "auto",
        seed: int = 0,
        test_size: float = 0.05,
        engine: str = "auto",
        offline: bool = False,
        cache_dir: str | None = None,
        out: str | None = None,
    ) -> None:
        self.model = model
        self.budget = budget
        self.depth = depth
        self.seed = seed
        self.test_size = test_size
        self.engine = engine
        self.offline = offline
        self.cache_dir = cache_dir
        self.out = out

    def fit(self, X: Any, y: Any, groups: Any = None) -> TransferClassifier:
        """Fit.

        groups: (n,); rows of equal value are never separated while depth and head are chosen.
        """
        from headstart.api import fit

        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != _count(X):
            raise ValueError(f"y has shape {labels.shape} for {_count(X)} inputs. Give one label for each.")
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y holds one class, {classes[0]!r}. A classifier needs two.")
        names = _names(classes)
        with tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
            inputs, task = _as_inputs(X, Path(scratch))
            rows = [{INPUT: value, TARGET: names[code]} for value, code in zip(inputs, codes)]
            if groups is not None:
                rows = [{**row, GROUP: str(group)} for row, group in zip(rows, np.asarray(groups))]
            table = Path(scratch) / "data.jsonl"
            table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            columns: dict[str, Any] = {"input_column": INPUT, "target_column": TARGET}
            columns |= {"group_column": GROUP} if groups is not None else {}
            given = {name: value for name, value in self.get_params().items() if name != "budget"}
            try:
                result = fit(table, budget=self.budget, task=task, **columns, **given)
            except HeadstartError as error:
                raise ValueError(str(error)) from error
        self.run_, self.result_ = str(result.run.resolve()), result.details
        self.classes_ = classes
        self._columns = [sorted(names).index(name) for name in names]  # of a predictor's probabilities
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels (n,) as y had them."""
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities (n, classes), columns in the order of classes_."""
        check_is_fitted(self)
        from headstart.predictor import load

        if getattr(self, "_predictor", None) is None:
            self._predictor = load(self.run_)
        with tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
            inputs, _ = _as_inputs(X, Path(scratch))
            try:
                found = self._predictor.predict_proba(inputs)
            except HeadstartError as error:
                raise ValueError(str(error)) from error
        return np.asarray(found[:, self._columns])

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_predictor", None)  # loaded again from the run's folder
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # not feature matrices
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.non_deterministic = True  # a clock decides how deep it tunes
        return tags


def _count(X: Any) -> int:
    try:
        return len(X)
    except TypeError as error:
        raise ValueError(
            f"X is a {type(X).__name__}; give a list of file names, texts or PIL images, or an array of images."
        ) from error


def _names(classes: NDArray[Any]) -> list[str]:
    """A name for each class; two labels that are written alike ("1" and 1) get their number as well."""
    names = [str(c) for c in classes]
    return (
        names
        if len(set(names)) == len(names) and all(n.strip() == n != "" for n in names)
        else [f"{i}: {name}".strip() for i, name in enumerate(names)]
    )


def _as_inputs(X: Any, folder: Path) -> tuple[list[str], str]:
    """File names or texts, and the task they are for; pictures in memory are written to the folder."""
    if not _count(X):
        raise ValueError("X is empty. Give at least one input.")
    if isinstance(X, np.ndarray) and X.dtype.kind in "uif":
        if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3, 4)):
            raise ValueError(
                f"X has shape {X.shape}. Give images as (n, height, width) or (n, height, width, channels); for a "
                "matrix of features take another classifier."
            )
        return [_write(_picture(pixels), folder, i) for i, pixels in enumerate(X)], "image-classification"
    values = list(X)
    if all(hasattr(value, "save") and hasattr(value, "convert") for value in values):
        return [_write(picture, folder, i) for i, picture in enumerate(values)], "image-classification"
    if not all(isinstance(value, str | Path) for value in values):
        odd = next(type(value).__name__ for value in values if not isinstance(value, str | Path))
        raise ValueError(f"X holds a {odd}. Give file names, texts, PIL images, or one array of images.")
    return _files_or_texts([str(value) for value in values])


def _files_or_texts(values: Sequence[str]) -> tuple[list[str], str]:
    for name in ("image", "audio"):
        suffixes = MODALITIES[name].suffixes
        hits = [len(v) < 4096 and Path(v).suffix.lower() in suffixes for v in values]
        if sum(hits) > len(values) / 2:
            return [str(Path(v).expanduser().resolve()) for v in values], f"{name}-classification"
    return list(values), "text-classification"


def _picture(pixels: NDArray[Any]) -> Any:
    from PIL import Image

    if pixels.dtype.kind == "f":
        if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
            raise ValueError("An image of floats holds values outside 0 to 1. Scale X, or give uint8.")
        pixels = np.round(255 * pixels)
    if pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"An image holds values from {pixels.min()} to {pixels.max()}. Scale X to 0 to 255.")
    pixels = pixels.astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _write(picture: Any, folder: Path, number: int) -> str:
    file = folder / f"{number:07}.png"  # lossless
    (picture if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else picture.convert("RGB")).save(file)
    return str(file)
