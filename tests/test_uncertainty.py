"""The files beside a checkpoint bring back what was saved, say when they are damaged, and may be missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import MachineError, RunError
from headstart.metrics.conformal import CalibrationScores
from headstart.metrics.ood import fit_ood_detector
from headstart.uncertainty import load_conformal, load_detector, save_uncertainty

RNG = np.random.default_rng(0)
SINGLE = CalibrationScores.of(RNG.uniform(size=50), np.arange(50))
GROUPED = CalibrationScores.of(RNG.uniform(size=50), np.arange(50) // 3)


@pytest.mark.parametrize("scores", [SINGLE, GROUPED], ids=["single rows", "groups"])
def test_scores_come_back_exactly(scores: CalibrationScores, tmp_path: Path) -> None:
    save_uncertainty(tmp_path, scores, None)
    again = load_conformal(tmp_path)
    assert again is not None
    np.testing.assert_array_equal(again.scores, scores.scores)
    np.testing.assert_array_equal(again.shares, scores.shares)
    assert again.threshold(0.1) == scores.threshold(0.1)
    assert json.loads((tmp_path / "uncertainty" / "conformal.json").read_text())["groups"] == scores.groups
    assert load_detector(tmp_path) is None


def test_the_detector_comes_back(tmp_path: Path) -> None:
    features = RNG.normal(size=(60, 8))
    detector = fit_ood_detector(features, np.arange(60) % 3, np.arange(60), np.arange(60) % 5)
    save_uncertainty(tmp_path, SINGLE, detector)
    again = load_detector(tmp_path)
    assert again is not None
    new = RNG.normal(size=(20, 8))
    np.testing.assert_allclose(again.distance.distances(new), detector.distance.distances(new), rtol=1e-4)
    np.testing.assert_array_equal(again.calibration.scores, detector.calibration.scores)


def test_no_files_no_answer(tmp_path: Path) -> None:
    assert load_conformal(tmp_path) is None
    assert load_detector(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "{}", '{"scores": []}', '{"scores": [0.1], "shares": [1, 1]}', "[]"])
def test_damaged_files_are_named(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "uncertainty"
    folder.mkdir()
    (folder / "conformal.json").write_text(content)
    (folder / "ood.safetensors").write_bytes(b"no tensors")
    with pytest.raises(RunError, match=r"conformal\.json is damaged"):
        load_conformal(tmp_path)
    with pytest.raises(RunError, match=r"ood\.safetensors is damaged"):
        load_detector(tmp_path)


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "uncertainty").write_text("a file where the folder should be")
    with pytest.raises(MachineError, match="cannot be written"):
        save_uncertainty(tmp_path, SINGLE, None)
