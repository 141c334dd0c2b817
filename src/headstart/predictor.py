"""Load a run and predict: the saved model by its stock loader, bad inputs as error rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from headstart.data.checked import UnusableInput
from headstart.data.modality import MODALITIES
from headstart.errors import DataError, RunError, SettingError
from headstart.metrics.conformal import check_alpha, prediction_sets
from headstart.run_dir import read_result
from headstart.stock_process import prediction_of
from headstart.types import PAIR, Prediction
from headstart.uncertainty import load_conformal, load_detector

Inputs = str | Path | Sequence[str | Path | tuple[str, str]]

BATCH = 64
DETECTION = "object-detection"


class Predictor:
    """A finished run's model.

    classes_: class names in the order of predict_proba's columns; empty for tasks whose targets are texts.
    scores: of held-out development rows, from which conformal sets follow; None where none were saved.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.result = read_result(run)
        self.task: str = self.result["task"]
        self.modality: str = self.result["modality"]
        self.classes_: list[str] = list(self.result["data"]["classes"])
        if not (run / "model" / "config.json").is_file():
            raise RunError(f"{run} has no model/ folder. Run `headstart fit` again.")
        from headstart.stock import products, torchvision_ops

        torchvision_ops.ensure()
        products.current()
        self._stock = import_module(f"headstart.stock.{Path(self.result['artifact']['script']).stem}")
        self._loaded: Any = None
        self._converted = False
        self.scores = load_conformal(run / "model")
        self._detector = load_detector(run / "model")

    def stream(self, inputs: Sequence[str], abstain: float | None = None) -> Iterator[Prediction]:
        """One prediction for each input, in order; an unusable one carries `error` and the rest go on.

        abstain: error rate of the conformal sets in `candidates`, for example 0.05. Of inputs drawn like the
        development rows at most this share gets a set without its true class, on average over all inputs. A label is
        given only where the set holds one class.
        Raises SettingError where `threshold` does.
        """
        return self._stream(inputs, None if abstain is None else self.threshold(abstain))

    def threshold(self, abstain: float) -> float:
        """One minus the smallest probability with which a class still belongs to the set.

        Raises SettingError outside 0..1, where the run has too few rows for it, and for tasks without classes.
        """
        check_alpha(abstain)
        if not self.classes_ or self.task == DETECTION:
            raise SettingError(
                f"abstain is {abstain:g}, but it is for classes: {self.run} is a {self.task} run, which does not "
                "answer with one. Leave it out."
            )
        if self.scores is None:
            raise SettingError(
                f"abstain is {abstain:g}, but {self.run}/model holds no uncertainty/conformal.json: the run was "
                "made by an earlier version or was interrupted. Fit again, or leave it out."
            )
        return self.scores.threshold(abstain)

    def _stream(self, inputs: Sequence[str], threshold: float | None) -> Iterator[Prediction]:
        if self._loaded is None:
            self._loaded = self._stock.load(str(self.run / "model"))
        self._choose_engine(len(inputs))
        for start in range(0, len(inputs), BATCH):
            for found in self._batch(inputs[start : start + BATCH]):
                yield found if threshold is None or found.error else _with_candidates(found, threshold)

    def _choose_engine(self, inputs: int) -> None:
        """Convert a detector where there are pictures enough for that."""
        if self.result["artifact"]["script"] != "timm_detector.py" or self._converted:
            return
        from headstart.detector_engine import WORTH_CONVERTING, with_engine

        if inputs >= WORTH_CONVERTING:
            self._loaded, self._converted = with_engine(self._loaded, self.run / "model"), True

    def _batch(self, inputs: Sequence[str]) -> list[Prediction]:
        found: dict[int, Prediction] = {}
        usable: list[int] = []
        check = MODALITIES[self.modality].check_to_answer("class" if self.classes_ else "text")
        for i, value in enumerate(inputs):
            try:
                check(value)
                usable.append(i)
            except UnusableInput as fault:
                found[i] = Prediction(value, error=str(fault))
        for i, prediction in zip(usable, self._answers([inputs[i] for i in usable])):
            found[i] = prediction
        return [found[i] for i in range(len(inputs))]

    def _answers(self, inputs: list[str]) -> list[Prediction]:
        """Predictions for usable inputs, with how far out each lies where the run can tell."""
        if not inputs:
            return []
        if self._detector is None:
            return [prediction_of(i, None, row) for i, row in zip(inputs, self._stock.predict(self._loaded, inputs))]
        rows = list(self._stock.predict(self._loaded, inputs, features=True))
        p_values = self._detector.p_values(np.array([row["features"] for row in rows]))
        flags = self._detector.flagged(p_values)
        return [
            replace(prediction_of(i, None, row), ood=bool(flag), ood_percentile=round(100 * (1 - float(p)), 2))
            for i, row, p, flag in zip(inputs, rows, p_values, flags)
        ]

    @overload
    def predict(self, inputs: Inputs, abstain: None = None) -> list[str]: ...
    @overload
    def predict(self, inputs: Inputs, abstain: float) -> list[str | None]: ...
    def predict(self, inputs: Inputs, abstain: float | None = None) -> Sequence[Any]:
        """Class names or texts of these paths (or texts, or pairs of them), lists of names where an input may have
        several, and of {"label", "score", "box": [left, top, right, bottom]} for detectors; with abstain None where
        more than one class is possible.

        abstain: as in `stream`, whose predictions also name the candidates.
        Raises DataError when any input cannot be used; `stream` gives error rows instead.
        """
        found = self._all(inputs, abstain)
        return [_answer(p) for p in found]

    def predict_proba(self, inputs: Inputs) -> NDArray[np.float64]:
        """Probabilities (n, classes), columns in the order of classes_.

        Raises DataError for tasks without classes, and as `predict` does.
        """
        if not self.classes_ or self.task == DETECTION:
            raise DataError(f"{self.task} gives no probabilities of classes. Use predict.")
        return np.array([[p.probabilities[c] for c in self.classes_] for p in self._all(inputs)])

    def _all(self, inputs: Inputs, abstain: float | None = None) -> list[Prediction]:
        values = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        found = list(self.stream([PAIR.join(v) if isinstance(v, tuple) else str(v) for v in values], abstain))
        faults = [p for p in found if p.error]
        if faults:
            raise DataError(
                f"{len(faults)} of {len(found)} inputs cannot be used; the first: {faults[0].id}: {faults[0].error}."
            )
        return found


def _answer(found: Prediction) -> Any:
    """What `predict` gives for one input."""
    if found.boxes is not None:
        return [box.to_json() for box in found.boxes if box.counts]
    if found.labels is not None:
        return list(found.labels)
    return found.label if found.text is None else found.text


def _with_candidates(found: Prediction, threshold: float) -> Prediction:
    """The prediction with its conformal set, and without a label where that holds several classes."""
    names = list(found.probabilities)
    (members,) = prediction_sets(np.array([[found.probabilities[name] for name in names]]), threshold)
    kept = sorted((n for n, in_set in zip(names, members) if in_set), key=lambda n: -found.probabilities[n])
    return replace(found, candidates=tuple(kept), label=found.label if len(kept) == 1 else None)


def load(run: str | Path) -> Predictor:
    """A run's predictor.

    Raises RunError where the folder is not a finished run.
    """
    return Predictor(Path(run))
