"""A view that changes the class is refused; one that does not is used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from headstart.budget import Clock
from headstart.plan import Plan
from headstart.run_dir import RunDir
from headstart.settings import Settings
from headstart.stages.context import Context
from headstart.stages.read import read_data
from headstart.stages.replace_head import replace_head
from headstart.stages.select import select
from headstart.stages.views import choose_views
from headstart.types import Silent


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """As workflow.run_fit makes it."""
    root = tmp_path_factory.mktemp("views")
    data, model = tiny.image_data(root / "data"), tiny.image_model(root / "model")
    for file in data.glob("*/0*.png"):  # upside down is the same picture
        pixels = np.array(Image.open(file))
        Image.fromarray(np.concatenate([pixels[:32], pixels[31::-1]])).save(file)
    settings = Settings(str(data), model=str(model), offline=True)
    task, dataset, split = read_data(settings, Silent())
    run = RunDir.create(root / "run")
    return Context(settings, task, dataset, split, Plan(), Clock(600), run, Silent(), root / "cache")


def test_left_and_right_may_be_turned_upside_down_but_not_mirrored(context: Context) -> None:
    selected = select(context)
    replaced = replace_head(context, selected)
    assert replaced.rung.score.value < 0.6  # nats; the head has learnt the sides: 0.69 is chance
    assert choose_views(context, selected, replaced, left=0.0) == ("plain",)  # no time, no views
    assert choose_views(context, selected, replaced, left=600.0)[:2] == ("plain", "vflip")
    assert selected.problem.features.views[:2] == ("plain", "vflip")
    rows, features = context.split.dev, selected.problem.features
    for cut in features.cuts:
        assert len(features.states(rows, cut, ["vflip"] * len(rows))) == len(rows)

    events = [json.loads(line) for line in Path(context.run.path / "log.jsonl").read_text().splitlines()]
    used = {e["view"]: e["used"] for e in events if e["event"] == "view"}
    assert {view: used[view] for view in ("hflip", "vflip", "hvflip")} == {
        "hflip": False,
        "vflip": True,
        "hvflip": False,
    }
    # one crop stands for all
    assert sorted(view for view in used if view.startswith("crop")) == ["crop1"]
    crops = [view for view in features.views if view.startswith("crop")]
    assert crops == (["crop1", "crop2", "crop3", "crop4"] if used["crop1"] else [])
    mirrored = next(e for e in events if e.get("view") == "hflip")
    assert mirrored["rise"]["low"] > 0
    assert mirrored["share"] > 0.15
