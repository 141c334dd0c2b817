"""Where the whole network is tuned before anything else, only held-out recordings need states at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headstart
import tiny
from headstart.stages import finetune

pytestmark = pytest.mark.slow  # whole fits


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data, model = tiny.speech_data(tmp_path / "clips", 30), tiny.speech_model(tmp_path / "model")

    def run(**settings: Any) -> Any:
        return headstart.fit(
            data, model=str(model), budget="120s", out=tmp_path / "run", offline=True, task="speech-recognition",
            **settings,
        )  # fmt: skip

    return run


def test_the_untouched_model_ships_where_nothing_fits(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    why = "it does not fit the budget (1 s left for it)"
    seen: list[str] = []
    monkeypatch.setattr(finetune, "attempt_rung", lambda c, s, r, before, depth: seen.append(depth.name) or why)
    monkeypatch.setattr(finetune, "_complete_states", lambda c, s, depth: why if depth.cut else "")
    result = fit()
    assert (seen, result.details["depth"]["chosen"]) == (["all"], "untouched")
    assert f"tuning the decoder was left out: {why}" in result.details["depth"]["why"]
    assert 0 < result.details["cache"]["misses"] < result.details["data"]["split"]["train"]


def test_the_decoder_s_states_are_made_when_its_turn_comes(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt, misses = finetune.attempt_rung, []

    def refused(context: Any, selected: Any, replaced: Any, before: Any, depth: Any) -> Any:
        misses.append(selected.extractor.misses)
        if depth.name == "all":
            return "it does not fit the budget (1 s left for it)"
        return attempt(context, selected, replaced, before, depth)

    monkeypatch.setattr(finetune, "attempt_rung", refused)
    result = fit()
    assert [rung["name"] for rung in result.details["depth"]["rungs"]] == ["untouched", "block"]
    assert misses[0] < misses[1]
