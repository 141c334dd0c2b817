"""Options: what each may be, and what a wrong one is told."""

from __future__ import annotations

import json

import pytest

from headstart.errors import SettingError
from headstart.settings import Settings, parse_budget


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), (" 2 M ", 120), (45, 45), (7.5, 7.5)],
)
def test_budgets(given, seconds):
    assert parse_budget(given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "-5m", "5 days", "1h30m", "1e3", "m", None, "٣m x"])
def test_a_budget_that_is_none_is_refused_with_examples(given):
    with pytest.raises(SettingError, match=r"budget is .*90s, 5m or 1h"):
        parse_budget(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": "deep"}, "depth is 'deep'; choose one of auto, head, block"),
        ({"engine": "tpu"}, "engine is 'tpu'; choose one of auto, openvino, torch"),
        ({"test_size": 0.0}, "test_size is 0.0; give a share between"),
        ({"test_size": 20}, "test_size is 20"),
        ({"test_size": float("nan")}, "test_size is nan"),
        ({"budget_seconds": 1}, "budget is 1 s; give at least 5 s"),
        ({"budget_seconds": float("nan")}, "budget is nan s"),
        ({"budget_seconds": float("inf")}, "budget is inf s"),
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
    ],
)
def test_a_wrong_value_names_the_option_and_what_it_may_be(change, message):
    with pytest.raises(SettingError, match=message):
        Settings("data", **change)


def test_out_may_be_a_folder_but_not_a_file(tmp_path):
    Settings("data", out=str(tmp_path))
    Settings("data", out=str(tmp_path / "new"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="which is a file"):
        Settings("data", out=str(tmp_path / "file"))


def test_the_cache_may_be_a_folder_but_not_a_file(tmp_path):
    Settings("data", cache_dir=str(tmp_path / "new"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"cache_dir is .*which is a file"):
        Settings("data", cache_dir=str(tmp_path / "file"))


def test_settings_are_saved_as_json_with_every_option():
    saved = json.loads(json.dumps(Settings("data", seed=3).to_json()))
    assert saved["seed"] == 3
    assert Settings(**saved) == Settings("data", seed=3)
