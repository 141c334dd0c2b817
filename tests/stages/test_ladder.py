"""The ladder is climbed as long as it pays and fits; what was kept ships, whatever happens further down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import headstart
import tiny
from headstart.backbones.backbone import Depth, Recipe
from headstart.budget import Clock
from headstart.errors import SettingError
from headstart.plan import Plan, RungPlan
from headstart.settings import Settings
from headstart.stages import finetune
from headstart.stages.context import Rung, offered_depths
from headstart.stages.finetune import Tuned
from headstart.stages.recipe import FEW
from headstart.stages.rung import Attempt, attempt_rung
from headstart.stages.tuning_plan import SAFETY, Pace, hopeless
from headstart.tasks import TASKS
from headstart.types import Interval

BLOCK = Depth("block", "last block and head", "cut 6", 0.1)
THIRD = Depth("third", "last third and head", "cut 5", 0.3)
ALL = Depth("all", "whole network", None, 1.0)
FEW_ROWS = 960
FINAL_S = 7.0  # of the last training after 4 epochs, which is 2 epochs


def context_of(plan: Plan | None = None, seconds: float = 600, **settings: Any) -> Any:
    return SimpleNamespace(
        settings=Settings("data", **settings),
        plan=plan or Plan(),
        task=TASKS["image-classification"],
        clock=Clock(seconds),
        run=SimpleNamespace(log=lambda *a, **k: None),
        split=SimpleNamespace(dev=np.arange(FEW_ROWS), n_folds=3, method="holdout"),
        warnings=[],
        reserve_seconds=10.0,
    )


def selected_of(cuts: tuple[str, ...] = ("cut 6", "cut 5"), contrast: float = 0.0, first: str = "") -> Any:
    recipes = {
        depth.name: Recipe(
            1e-4, 1e-3, 32, 6, min_epochs=1, contrast=contrast if depth.cut else 0.0, comes_first=depth.name == first
        )
        for depth in (BLOCK, THIRD, ALL)
    }
    source = SimpleNamespace(id="model")
    backbone = SimpleNamespace(
        features=("native",), depths=(BLOCK, THIRD, ALL), recipe=lambda depth: recipes[depth.name], source=source
    )
    problem = SimpleNamespace(backbone=backbone, features=SimpleNamespace(cuts=cuts), n_classes=FEW_ROWS // FEW)
    return SimpleNamespace(problem=problem)


def rung(name: str, high: float | None = None) -> Rung:
    difference = None if high is None else Interval(high - 0.1, high - 0.2, high, 99)
    return Rung(name, name, Interval(0.5, 0.4, 0.6, 99), None, None, 1.0, difference)


def climb(
    monkeypatch: pytest.MonkeyPatch,
    outcomes: dict[str, float | str | type[BaseException]],
    context: Any,
    cuts: Any = None,
    contrast: float = 0.0,
    first: str = "",
    answer_s: tuple[float, ...] = (0.5, 0.5, 0.5),
    stopped: str = "",
) -> tuple[Tuned, list[tuple[str, str, float]]]:
    """Climb with made-up outcomes: upper ends of differences, reasons why a rung cannot be tuned, or exceptions.

    stopped: why the trainings broke off.
    An answer takes half a second by the untuned model, answer_s by the tuned ones; what is kept back is for 20 of them.
    Returns what was tuned, and for each attempt its name, the rung it was compared with, and the time kept back.
    """
    seen: list[tuple[str, str, float]] = []

    def attempt(context: Any, selected: Any, replaced: Any, before: Attempt | None, depth: Depth) -> Attempt | str:
        seen.append((depth.name, before.rung.name if before else "head", context.reserve_seconds))
        outcome = outcomes[depth.name]
        if isinstance(outcome, str):
            return outcome
        if isinstance(outcome, type):
            raise outcome
        planned, made = RungPlan(depth.name, 3, 4), rung(depth.name, outcome)
        folds: list[Any] = [SimpleNamespace(trained=SimpleNamespace(stopped=stopped))]
        return Attempt(depth, planned, made, 4, 1.0, folds, step_s=0.1, pass_s=FINAL_S / (SAFETY * 2),
                       answer_s=answer_s[len(seen) - 1])  # fmt: skip

    monkeypatch.setattr(finetune, "attempt_rung", attempt)
    monkeypatch.setattr(finetune, "train_final", lambda c, s, kept: SimpleNamespace(module=kept.depth.name, base=None))
    monkeypatch.setattr(finetune, "reserve", lambda c, s, r, answer_s: 20.0 * answer_s)
    monkeypatch.setattr(finetune, "stock_answer_s", lambda context, rung, answer_s: answer_s)
    monkeypatch.setattr(finetune, "_prepare_views", lambda *a: None)
    monkeypatch.setattr(finetune, "_carry_on", lambda *a: None)
    selected = selected_of(("cut 6", "cut 5") if cuts is None else cuts, contrast, first)
    replaced: Any = SimpleNamespace(rung=rung("head"), final=None, seconds_per_output=0.5)
    return finetune.finetune(context, selected, replaced), seen


def test_as_long_as_it_pays_the_next_rung_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of()
    tuned, seen = climb(monkeypatch, {"block": -0.01, "third": -0.01, "all": 0.12}, context)
    assert [r.name for r in tuned.rungs] == ["head", "block", "third", "all"]
    assert (tuned.chosen.name, tuned.module) == ("third", "third")
    # each is compared with the one before, and keeps back the time for that one's last training
    assert seen == [("block", "head", 10.0), ("third", "block", 17.0), ("all", "third", 17.0)]
    assert context.reserve_seconds == 10.0
    assert "whole network did not pay" in tuned.why
    assert [planned.name for planned in context.plan.rungs] == ["block", "third", "all"]


def test_a_tuned_writer_keeps_back_what_its_own_answers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the untuned model answers as well; a tuned one may be quicker, as it does not repeat itself."""
    outcomes: dict[str, float | str | type[BaseException]] = {"block": -0.1, "third": -0.1, "all": 0.1}
    for task, answer_s, kept_back in (
        ("translation", (0.1, 0.3, 0.0), (2.0, 6.0)),  # the second one that pays takes longer again
        ("translation", (0.8, 0.8, 0.0), (10.0, 10.0)),
        ("image-classification", (0.1, 0.3, 0.0), (10.0, 10.0)),
    ):
        context = context_of()
        context.task = TASKS[task]
        _, seen = climb(monkeypatch, outcomes, context, answer_s=answer_s)
        assert [seconds for _, _, seconds in seen] == [10.0, *(seconds + FINAL_S for seconds in kept_back)]


def test_two_rungs_in_a_row_that_do_not_pay_end_the_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, seen = climb(monkeypatch, {"block": 0.0, "third": 0.0, "all": -0.1}, context_of())
    assert (tuned.chosen.name, tuned.module) == ("head", None)
    assert [(name, before) for name, before, _ in seen] == [("block", "head"), ("third", "head")]
    assert "the interval does not exclude zero" in tuned.why


def test_of_two_tuned_rungs_the_better_one_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upper end of 0.02 is of a difference of -0.08, one of 0.12 of a difference of +0.02."""
    outcomes: dict[str, float | str | type[BaseException]] = {"block": -0.01, "third": 0.02, "all": 0.12}
    tuned, seen = climb(monkeypatch, outcomes, context_of())
    assert [(name, before) for name, before, _ in seen] == [("block", "head"), ("third", "block"), ("all", "third")]
    assert tuned.chosen.name == "third"
    told = "last third and head did better than the depth before, though not clearly: log-loss -0.080 on held-out folds"
    assert told in tuned.why
    assert "whole network did not pay" in tuned.why
    # that tuning pays at all has to be clear
    tuned, seen = climb(monkeypatch, outcomes | {"block": 0.02}, context_of())
    assert tuned.chosen.name == "head"
    assert [name for name, _, _ in seen] == ["block", "third"]


@pytest.mark.parametrize(("stopped", "seconds"), [("out of time", 600.0), ("", 10.0 + FINAL_S / 2 - 0.5)])
def test_a_rung_that_broke_off_or_whose_last_training_does_not_fit_ships_only_where_it_is_clearly_better(
    stopped: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: dict[str, float | str | type[BaseException]] = {"block": -0.01, "third": 0.02, "all": 0.12}
    for high, shipped in ((0.02, "block"), (-0.01, "third")):
        context = context_of(seconds=seconds)
        tuned, _ = climb(monkeypatch, outcomes | {"third": high}, context, stopped=stopped)
        assert tuned.chosen.name == shipped


def test_a_trained_head_is_no_tuned_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a head is trained and not fitted (boxes, letters), it is a rung of its own; tuning is what comes after."""
    head = Depth("head", "pyramid and head", "cut 6", 0.05)
    monkeypatch.setattr(finetune, "_reachable", lambda context, selected: [head, BLOCK, THIRD])
    monkeypatch.setattr(finetune, "first_depth", lambda context, selected, depths: depths[0])
    outcomes: dict[str, float | str | type[BaseException]] = {"head": -0.2, "block": 0.02, "third": 0.02}
    tuned, seen = climb(monkeypatch, outcomes, context_of())
    assert [name for name, _, _ in seen] == ["head", "block", "third"]
    assert tuned.chosen is tuned.rungs[1]
    tuned, _ = climb(monkeypatch, outcomes | {"block": -0.01}, context_of())
    assert tuned.chosen.name == "third"


def test_one_rung_may_be_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of()
    tuned, seen = climb(monkeypatch, {"block": 0.0, "third": -0.1, "all": "it does not fit the budget"}, context)
    assert tuned.chosen.name == "third"
    assert [(name, before) for name, before, _ in seen] == [("block", "head"), ("third", "head"), ("all", "third")]
    assert [planned.name for planned in context.plan.rungs] == ["block", "third"]
    assert context.warnings == []


def test_with_few_labels_the_deepest_cached_rung_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: dict[str, float | str | type[BaseException]] = {"block": -0.1, "third": -0.1, "all": 0.1}
    context = context_of()
    tuned, seen = climb(monkeypatch, outcomes, context, contrast=1.0)
    assert [(name, before) for name, before, _ in seen] == [("third", "head"), ("all", "third")]
    assert [planned.name for planned in context.plan.rungs] == ["third", "all"]
    # one row more, and labels are many
    context = context_of()
    context.split.dev = np.arange(FEW_ROWS + 1)
    tuned, seen = climb(monkeypatch, outcomes, context, contrast=1.0)
    assert [name for name, _, _ in seen] == ["block", "third", "all"]
    # where it does not fit at all, the last block does; it is not asked for again
    tuned, seen = climb(monkeypatch, outcomes | {"third": "it does not fit the budget"}, context_of(), contrast=1.0)
    assert [(name, before) for name, before, _ in seen] == [("third", "head"), ("block", "head")]
    assert tuned.chosen.name == "block"
    assert "tuning the last third and head was left out: it does not fit the budget" in tuned.why


def test_a_depth_whose_recipe_says_so_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: dict[str, float | str | type[BaseException]] = {"block": -0.1, "third": -0.1, "all": -0.1}
    context = context_of()
    tuned, seen = climb(monkeypatch, outcomes, context, first="all")
    assert [(name, before) for name, before, _ in seen] == [("all", "head")]
    assert (tuned.chosen.name, [planned.name for planned in context.plan.rungs]) == ("all", ["all"])
    # where it does not pay, or does not fit, the others have their turn
    tuned, seen = climb(monkeypatch, outcomes | {"all": 0.1}, context_of(), first="all")
    assert [(name, before) for name, before, _ in seen] == [("all", "head"), ("block", "head"), ("third", "block")]
    tuned, seen = climb(monkeypatch, outcomes | {"all": "it does not fit the budget"}, context_of(), first="all")
    assert [(name, before) for name, before, _ in seen] == [("all", "head"), ("block", "head"), ("third", "block")]
    assert tuned.chosen.name == "third"
    # what is asked for, and what a plan names, is tried in its own order
    _, seen = climb(monkeypatch, outcomes, context_of(Plan(rungs=(RungPlan("block", 3, 4),))), first="all")
    assert [name for name, _, _ in seen] == ["block"]
    _, seen = climb(monkeypatch, outcomes, context_of(Plan(rungs=(RungPlan("all", 1, 1),))))
    assert [name for name, _, _ in seen] == ["all"]


def test_a_rung_that_is_measurably_worse_is_called_harmful(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, _ = climb(monkeypatch, {"block": 0.3, "third": 0.3}, context_of())  # from 0.1 to 0.3
    assert tuned.chosen.name == "head"
    assert "tuning the last block and head did harm" in tuned.why
    assert "does not exclude zero" not in tuned.why


def test_what_does_not_fit_is_said_and_the_rung_before_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of()
    tuned, _ = climb(monkeypatch, {"block": -0.1, "third": "it does not fit the budget"}, context)
    assert tuned.chosen.name == "block"
    assert "last third and head was left out: it does not fit the budget" in tuned.why
    assert context.warnings == []
    none, _ = climb(monkeypatch, {"block": "it does not fit the budget"}, context)
    assert none.chosen.name == "head"
    assert context.warnings == ["No tuning: it does not fit the budget."]


def test_ctrl_c_further_down_ships_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of()
    tuned, _ = climb(monkeypatch, {"block": -0.1, "third": KeyboardInterrupt}, context)
    assert (tuned.chosen.name, tuned.module) == ("block", "block")
    assert context.warnings == ["Interrupted during tuning; the rung before was kept."]
    assert context.reserve_seconds == 10.0


def test_a_depth_that_is_asked_for_is_kept_whatever_it_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, seen = climb(monkeypatch, {"third": 0.3}, context_of(depth="third"))
    assert (tuned.chosen.name, [name for name, _, _ in seen]) == ("third", ["third"])
    assert "asked for with --depth third" in tuned.why
    untuned, seen = climb(monkeypatch, {}, context_of(depth="head"))
    assert (untuned.chosen.name, seen) == ("head", [])


def test_depths_whose_states_are_not_cached_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    _, seen = climb(monkeypatch, {"block": -0.1, "all": 0.1}, context_of(), cuts=("cut 6",))
    assert [name for name, _, _ in seen] == ["block", "all"]
    context = context_of()
    none, seen = climb(monkeypatch, {}, context, cuts=())
    assert (none.chosen.name, seen) == ("head", [])
    assert "would not fit the disk" in none.why
    assert context.warnings == ["No tuning: the states that tuning starts from would not fit the disk."]


def test_a_plan_names_the_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(rungs=(RungPlan("block", 3, 4),))
    context = context_of(plan)
    _, seen = climb(monkeypatch, {"block": -0.1}, context)
    assert [name for name, _, _ in seen] == ["block"]
    assert context.plan.rungs == plan.rungs
    tuned, _ = climb(monkeypatch, {}, context_of(Plan(rungs=())))
    assert "the plan leaves tuning out" in tuned.why


def test_a_depth_that_the_network_lacks_is_refused_with_those_it_has() -> None:
    backbone: Any = selected_of().problem.backbone
    backbone.depths = (BLOCK, ALL)
    with pytest.raises(SettingError, match="no depth 'third'; it has head, block, all, lora"):
        offered_depths(context_of(depth="third"), backbone)
    assert [d.name for d in offered_depths(context_of(depth="lora"), backbone)] == ["lora"]


def test_a_depth_far_beyond_the_budget_is_not_even_timed() -> None:
    pace = Pace(BLOCK, 0.1)  # 0.1 s for 32 rows; the last third costs three times as much, everything ten times
    # third: 960 rows x 0.1 x 3 / 32 x (2/3 + 1/2) = 10.5 s for one epoch, half of it is allowed for
    assert hopeless(context_of(seconds=10 + 10), selected_of(), THIRD, pace) == ""
    told = hopeless(context_of(seconds=10 + 3), selected_of(), THIRD, pace)
    assert "3 s left for it, a step would take about 0.30 s" in told
    assert hopeless(context_of(seconds=13, depth="third"), selected_of(), THIRD, pace) == ""


@pytest.mark.slow
@pytest.mark.parametrize("depth", ["all", "lora"])
def test_the_whole_network_is_tuned_from_the_inputs(
    depth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A BERT wide enough for low ranks; the saved model runs by its stock loader and gives the tuned answers."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data = tiny.text_data(tmp_path / "texts.csv", 14)
    model = tiny.text_model(tmp_path / "model", hidden_size=64)
    result = headstart.fit(data, model=str(model), budget="300s", out=tmp_path / "run", depth=depth, offline=True)
    tuned = result.details["depth"]["rungs"][-1]
    assert result.details["depth"]["chosen"] == tuned["name"] == depth
    assert "from the inputs themselves" in tuned["description"]
    assert tuned["weight_distance"] > 0
    assert headstart.load(result.run).predict(["the cat is red"])[0] in ("animal", "judgement", "place")


def test_a_last_training_that_is_cut_short_ships_the_first_fold_s_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.stages import fold as fold_stage

    train = fold_stage.train

    def short(*arguments: Any, **named: Any) -> Any:
        trained = train(*arguments, **named)
        watched = arguments[-1].evaluate is not None
        return trained if watched else replace(trained, stopped="out of time in epoch 1 of 2")

    monkeypatch.setattr(fold_stage, "train", short)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data, model = tiny.image_data(tmp_path / "data", 12), tiny.image_model(tmp_path / "model")
    run = tmp_path / "run"
    headstart.fit(data, model=str(model), budget="200s", out=str(run), depth="block", offline=True, engine="torch")
    result = json.loads((run / "result.json").read_text())
    assert result["depth"]["chosen"] == "block"
    assert result["depth"]["rungs"][-1]["final_epochs"] == 0
    assert any("The network of the first fold ships" in warning for warning in result["warnings"])
    assert headstart.load(run).predict(data / "left" / "001.png")[0] in ("left", "right")


def test_each_fold_s_network_has_the_head_that_its_fold_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In cross-validation folds choose for themselves; with training left out, nothing may differ from the heads."""
    from headstart.heads.linear import fit_linear_head
    from headstart.metrics.calibration import softmax
    from headstart.run_dir import RunDir
    from headstart.stages import fold as fold_stage
    from headstart.stages import recipe
    from headstart.stages.context import Context
    from headstart.stages.final_training import train_final
    from headstart.stages.read import read_data
    from headstart.stages.replace_head import replace_head
    from headstart.stages.select import select
    from headstart.training.loop import Trained
    from headstart.types import Silent

    def untrained(module: Any, *arguments: Any) -> Trained:
        return Trained(module, [{"epoch": 1.0, "train_loss": 1.0, "dev_loss": 0.0}], 1, 1.0, best_epoch=1)  # share 1.0

    monkeypatch.setattr(fold_stage, "train", untrained)
    monkeypatch.setattr(recipe, "FEW", 0)  # as many labels: the head is not fitted anew after tuning
    data, model = tiny.text_data(tmp_path / "texts.csv", 14), tiny.text_model(tmp_path / "model")
    settings = Settings(str(data), model=str(model), offline=True, depth="block", engine="torch")
    task, dataset, split = read_data(settings, Silent())
    plan = Plan(rungs=(RungPlan("block", split.n_folds, 1),))
    run = RunDir.create(tmp_path / "run")
    context = Context(settings, task, dataset, split, plan, Clock(600), run, Silent(), tmp_path / "cache")
    selected = select(context)
    replaced = replace_head(context, selected)
    problem, head = selected.problem, context.task.head
    rows = {fold: split.dev[split.folds != fold] for fold in range(split.n_folds)}
    for fold in range(split.n_folds):  # "native" in the first fold, "mean" of unit length in the others
        name = "mean" if fold else "native"
        features = {name: problem.features.pooled(name, rows[fold])}
        labels, groups = problem.labels[rows[fold]], problem.groups[rows[fold]]
        replaced.bases[fold] = fit_linear_head(
            features, labels, 3, groups, np.random.default_rng(0), kinds=("ridge",), allow_l2=True
        ).head
    depth = offered_depths(context, problem.backbone)[0]
    attempt = attempt_rung(context, selected, replaced, None, depth)
    assert isinstance(attempt, Attempt)
    for fold in range(split.n_folds):
        held = split.dev[split.folds == fold]
        ours = attempt.rung.outputs[np.isin(attempt.rung.rows, held)]
        theirs = head.base_outputs(problem, replaced.bases[fold], held, Silent())
        np.testing.assert_allclose(softmax(ours), softmax(theirs), atol=1e-3)
    # the network that ships goes on from the first fold's, so it keeps that fold's kind of head
    shipped = train_final(context, selected, attempt)
    assert shipped.base.feature == "native"
    final = head.outputs(problem, shipped.module, split.dev, Silent())
    first = head.base_outputs(problem, replaced.bases[0], split.dev, Silent())
    np.testing.assert_allclose(softmax(final), softmax(first), atol=1e-3)


def test_states_that_would_take_most_of_the_time_left_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(finetune, "missing_rows", lambda context, extractor: 30)
    monkeypatch.setattr(finetune, "extract", lambda extractor, examples, *rest: made.append(len(examples)))
    selected: Any = SimpleNamespace(
        extractor=SimpleNamespace(rate=0.5),
        problem=SimpleNamespace(backbone=SimpleNamespace(features=(), views=("v",))),
    )
    for seconds, told in ((100, "60 s"), (200, "")):
        context: Any = SimpleNamespace(
            clock=SimpleNamespace(left=lambda seconds=seconds: seconds), reserve_seconds=0.0, reporter=None,
            split=SimpleNamespace(dev=np.arange(3)), dataset=SimpleNamespace(examples=(1, 2, 3)),
        )  # fmt: skip
        why = finetune._complete_states(context, selected, BLOCK)
        assert told in why and bool(why) == bool(told)
    assert made == [3]
