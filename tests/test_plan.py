"""A plan is saved and replayed exactly; a mistyped one is refused by field."""

from __future__ import annotations

import json

import pytest

from headstart.errors import MachineError, SettingError
from headstart.plan import Plan, RungPlan, load_plan

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
