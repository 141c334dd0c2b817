"""What a saved model knows of its own uncertainty, as two files in a folder of the checkpoint that stock loaders skip.

conformal.json: scores of held-out rows, from which sets of classes follow. ood.safetensors: where features of the
development rows lie.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from headstart.errors import MachineError, RunError
from headstart.metrics.conformal import CalibrationScores
from headstart.metrics.ood import OodDetector
from headstart.run_dir import write_atomically

FOLDER = "uncertainty"
SCORE = "1 - probability of the true class, out of fold"


def save_uncertainty(model: Path, scores: CalibrationScores, detector: OodDetector | None) -> None:
    """Write both files into the checkpoint's folder `model`.

    Raises MachineError when the disk is full.
    """
    folder = model / FOLDER
    content = {"score": SCORE, "groups": scores.groups, "scores": scores.scores.tolist()}
    if not (scores.shares == 1).all():
        content["shares"] = scores.shares.tolist()
    try:
        folder.mkdir(exist_ok=True)
        write_atomically(folder / "conformal.json", json.dumps(content) + "\n")
        if detector is not None:
            save_file({k: np.ascontiguousarray(v) for k, v in detector.arrays().items()}, folder / "ood.safetensors")
    except (OSError, SafetensorError) as error:
        raise MachineError(f"{folder} cannot be written: {error}. Free some disk space.") from error


def load_conformal(model: Path) -> CalibrationScores | None:
    """The scores saved with a checkpoint; None where there are none.

    Raises RunError where the file is damaged.
    """
    file = model / FOLDER / "conformal.json"
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        scores = np.array(content["scores"], dtype=np.float64)
        shares = np.array(content.get("shares", np.ones(len(scores))), dtype=np.float64)
        if not len(scores) or scores.shape != shares.shape:
            raise ValueError("scores and shares do not fit")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, error) from error
    return CalibrationScores(scores, shares)


def load_detector(model: Path) -> OodDetector | None:
    """The out-of-distribution detector saved with a checkpoint; None where there is none.

    Raises RunError where the file is damaged.
    """
    file = model / FOLDER / "ood.safetensors"
    if not file.is_file():
        return None
    try:
        return OodDetector.from_arrays(load_file(file))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> RunError:
    return RunError(f"{file} is damaged: {str(error)[:100]}. Run the fit again.")
