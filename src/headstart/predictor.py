"""Load a run and predict: the saved model by its stock loader, bad inputs as error rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.checked import UnusableInput
from headstart.data.modality import MODALITIES
from headstart.errors import DataError, RunError
from headstart.run_dir import read_result
from headstart.stock_process import prediction_of
from headstart.types import Prediction

BATCH = 64


class Predictor:
    """A finished run's model.

    classes_: class names in the order of predict_proba's columns; empty for tasks whose targets are texts.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.result = read_result(run)
        self.task: str = self.result["task"]
        self.modality: str = self.result["modality"]
        self.classes_: list[str] = list(self.result["data"]["classes"])
        if not (run / "model" / "config.json").is_file():
            raise RunError(f"{run} has no model/ folder. Run `headstart fit` again.")
        from headstart.stock import torchvision_ops

        torchvision_ops.ensure()
        self._stock = import_module(f"headstart.stock.{Path(self.result['artifact']['script']).stem}")
        self._loaded: Any = None

    def stream(self, inputs: Sequence[str]) -> Iterator[Prediction]:
        """One prediction for each input, in order; an unusable one carries `error` and the rest go on."""
        if self._loaded is None:
            self._loaded = self._stock.load(str(self.run / "model"))
        for start in range(0, len(inputs), BATCH):
            yield from self._batch(inputs[start : start + BATCH])

    def _batch(self, inputs: Sequence[str]) -> list[Prediction]:
        found: dict[int, Prediction] = {}
        usable: list[int] = []
        for i, value in enumerate(inputs):
            try:
                MODALITIES[self.modality].check(value)
                usable.append(i)
            except UnusableInput as fault:
                found[i] = Prediction(value, error=str(fault))
        rows = self._stock.predict(self._loaded, [inputs[i] for i in usable]) if usable else []
        for i, row in zip(usable, rows):
            found[i] = prediction_of(inputs[i], None, row)
        return [found[i] for i in range(len(inputs))]

    def predict(self, inputs: str | Path | Sequence[str | Path]) -> list[str]:
        """Class names or texts of these paths (or texts).

        Raises DataError when any input cannot be used; `stream` gives error rows instead.
        """
        return [str(p.text if p.text is not None else p.label) for p in self._all(inputs)]

    def predict_proba(self, inputs: str | Path | Sequence[str | Path]) -> NDArray[np.float64]:
        """Probabilities (n, classes), columns in the order of classes_.

        Raises DataError for tasks without classes, and as `predict` does.
        """
        if not self.classes_:
            raise DataError(f"{self.task} has no classes, so no probabilities. Use predict.")
        return np.array([[p.probabilities[c] for c in self.classes_] for p in self._all(inputs)])

    def _all(self, inputs: str | Path | Sequence[str | Path]) -> list[Prediction]:
        values = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        found = list(self.stream([str(v) for v in values]))
        faults = [p for p in found if p.error]
        if faults:
            raise DataError(
                f"{len(faults)} of {len(found)} inputs cannot be used; the first: {faults[0].id}: {faults[0].error}."
            )
        return found


def load(run: str | Path) -> Predictor:
    """A run's predictor.

    Raises RunError where the folder is not a finished run.
    """
    return Predictor(Path(run))
