"""A finished run: what Python users get back from fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.run_dir import read_result

if TYPE_CHECKING:
    from headstart.predictor import Predictor


@dataclass(frozen=True)
class Result:
    """run: the run folder. details: result.json as it stands there."""

    run: Path
    details: dict[str, Any]

    @classmethod
    def read(cls, run: str | Path) -> Result:
        """Open an earlier run. Raises RunError where there is none."""
        return cls(Path(run), read_result(Path(run)))

    @property
    def model(self) -> Path:
        """The standard checkpoint folder."""
        return self.run / "model"

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Metrics of the headline split: name -> {value, low, high, n}."""
        found: dict[str, dict[str, float]] = self.details["metrics"][self.details["headline_split"]]
        return found

    @property
    def score(self) -> float:
        """The headline metric's value."""
        return float(self.metrics[self.details["headline_metric"]]["value"])

    def predictor(self) -> Predictor:
        """The saved model, ready to predict."""
        from headstart.predictor import load

        return load(self.run)
