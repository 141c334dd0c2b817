"""A plan is saved and replayed exactly; a mistyped one is refused by field."""

from __future__ import annotations

import json

import pytest

import headstart
import tiny
from headstart.errors import MachineError, SettingError
from headstart.plan import Plan, RungPlan, load_plan
from headstart.settings import Settings
from headstart.workflow import replayed

RUNGS = (RungPlan("block", 3, 8), RungPlan("third", 1, 5))


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        Plan("m", "torch", "onednn", "16-bit", 4, 5, 100, 900, ("plain", "hflip"), RUNGS, 500, 300, "torch", 900, 5, 7),
    ],
)
def test_a_plan_comes_back_as_it_was_saved(tmp_path, plan):
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan


def test_deciding_leaves_the_original_alone():
    plan = Plan()
    assert plan.with_(rungs=RUNGS).rungs == RUNGS
    assert plan.rungs is None


def test_a_part_of_a_plan_is_enough(tmp_path):
    (tmp_path / "p.json").write_text('{"rungs": []}')
    assert load_plan(tmp_path / "p.json") == Plan(rungs=())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rung": []}, "unknown field 'rung'. Did you mean 'rungs'"),
        ({"zzz": 3}, "unknown field 'zzz'. Fields: model, engine"),
        ({"control_labels": "three"}, "control_labels = 'three'; give a whole number from 0"),
        ({"control_labels": -1}, "control_labels = -1"),
        ({"control_labels": True}, "control_labels = True"),
        ({"rungs": [{"name": "block", "folds": 3}]}, 'give a list of {"name": a depth, "folds"'),
        ({"rungs": [{"name": "block", "folds": 0, "epochs": 1}]}, "rungs = "),
        ({"rungs": {"name": "block"}}, "rungs = "),
        ({"select_rows": None}, "select_rows = None"),
        ({"views": "plain"}, "views = 'plain'; give a list of names"),
        ({"model": 3}, "model = 3; give a name"),
        ([1], "holds no JSON object"),
    ],
)
def test_what_is_wrong_in_a_plan_is_named(tmp_path, content, message):
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(SettingError, match=message):
        load_plan(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("given", "planned", "used"),
    [
        ({}, {}, (None, 0)),
        ({}, {"engine": "openvino", "seed": 5}, ("openvino", 5)),
        ({"engine": "torch", "seed": 3}, {}, ("torch", 3)),
        ({"engine": "torch", "seed": 3}, {"engine": "openvino", "seed": 5}, ("torch", 3)),
        ({"engine": "torch"}, {"engine": "torch contiguous"}, ("torch contiguous", 0)),
    ],
)  # fmt: skip
def test_an_option_wins_over_the_plan(given, planned, used):
    settings, plan = replayed(Settings("data", **given), Plan(**planned))
    assert (plan.engine, plan.seed) == used
    assert settings.seed == plan.seed


def test_a_plan_alone_repeats_its_run(tmp_path, monkeypatch):
    """Rows, model and engine are the plan's; another model is refused."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data, model = tiny.image_data(tmp_path / "data", 12), tiny.image_model(tmp_path / "model")
    options = {"budget": "60s", "depth": "head", "offline": True}
    plan = str(tmp_path / "first" / "plan.json")
    headstart.fit(data, model=str(model), out=str(tmp_path / "first"), seed=3, engine="torch", **options)
    again = headstart.fit(data, out=str(tmp_path / "again"), plan=plan, **options)
    for file in ("split.csv", "predictions.jsonl", "plan.json"):
        assert (tmp_path / "again" / file).read_text() == (tmp_path / "first" / file).read_text()
    assert again.details["model"]["why"] == "named by the plan"
    other = tiny.image_model(tmp_path / "other")
    with pytest.raises(SettingError, match=r"the plan .* was made for"):
        headstart.fit(data, model=str(other), out=str(tmp_path / "other run"), plan=plan, **options)


def test_no_plan_and_broken_json(tmp_path):
    with pytest.raises(SettingError, match=r"no plan .*Give the plan\.json"):
        load_plan(tmp_path / "gone.json")
    for content in (b"{", b"\xff\xfe"):
        (tmp_path / "p.json").write_bytes(content)
        with pytest.raises(SettingError, match="is not a plan"):
            load_plan(tmp_path / "p.json")
    with pytest.raises(SettingError, match="is not a plan"):
        load_plan(tmp_path)
    with pytest.raises(MachineError, match="cannot be written"):
        Plan().save(tmp_path / "no" / "folder")
