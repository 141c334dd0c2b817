"""Ctrl-C during tuning costs the tuning, not the run: the untuned rung is evaluated and saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import headstart
import tiny
from headstart.stages import fold as fold_stage


def test_the_rung_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, during = 0, 2  # Ctrl-C comes while the second fold is tuned
    train = fold_stage.train

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == during:
            raise KeyboardInterrupt
        return train(*arguments, **named)

    monkeypatch.setattr(fold_stage, "train", interrupted)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data, model = tiny.image_data(tmp_path / "data", 12), tiny.image_model(tmp_path / "model")
    run = tmp_path / "run"
    headstart.fit(data, model=str(model), budget="120s", out=str(run), depth="block", offline=True, engine="torch")
    assert calls == during
    result = json.loads((run / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert result["depth"]["chosen"] == "head"
    assert "interrupted" in result["depth"]["why"]
    assert [rung["name"] for rung in result["depth"]["rungs"] if rung["chosen"]] == ["head"]
    assert any("Interrupted" in warning for warning in result["warnings"])
    assert result["metrics"]["cross_validation"]["accuracy"]["n"] > 0
    assert (run / "report.html").is_file()
    assert headstart.load(run).predict(data / "left" / "001.png")[0] in ("left", "right")
