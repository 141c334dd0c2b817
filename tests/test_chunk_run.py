"""Whole runs on short recordings with a network that hears 30 s of each: it is made for the seconds that they last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import headstart
import tiny

pytestmark = pytest.mark.slow


def test_short_recordings_are_heard_as_long_as_they_last(tmp_path: Path) -> None:
    data, model = tiny.audio_data(tmp_path / "sounds"), tiny.audio_model(tmp_path / "model", "whisper")
    given = {"model": str(model), "budget": "150s", "depth": "head", "offline": True}
    result = headstart.fit(data, out=str(tmp_path / "run"), **given)
    run = Path(result.run)
    assert result.details["model"]["chunk_length"] == 3  # up to 1.2 s
    assert "with 3 s against" in result.details["model"]["reading_check"]
    assert json.loads((run / "plan.json").read_text())["chunk_length"] == 3
    assert json.loads((run / "model" / "preprocessor_config.json").read_text())["chunk_length"] == 3
    assert json.loads((run / "model" / "config.json").read_text())["max_source_positions"] == 150
    assert "s of each recording" in (run / "report.html").read_text()
    assert headstart.load(run).predict(data / "low" / "01.wav") == ["low"]
    again = headstart.fit(data, out=str(tmp_path / "again"), plan=str(run / "plan.json"), **given)
    assert again.details["metrics"] == result.details["metrics"]
