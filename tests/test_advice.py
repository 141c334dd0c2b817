"""The ranked list puts the planted cause first, says what is behind it, and is silent where nothing is wrong."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from headstart.advice import next_steps, step_lines

RUNG = {"name": "head", "metric": "log_loss", "difference": None}


def interval(value: float, low: float, high: float) -> dict[str, float | int]:
    return {"value": value, "low": low, "high": high, "n": 400}


def healthy() -> dict[str, Any]:
    """A run in which nothing is wrong: four equal classes, no findings, a flat label curve, rungs that did not pay."""
    names = ["ant", "bee", "cow", "dog"]
    matrix = [[92 if i == j else (4, 2, 2)[(j - i) % 4 - 1] for j in range(4)] for i in range(4)]
    return {
        "headline_metric": "accuracy",
        "headline_split": "test",
        "metrics": {"test": {"accuracy": interval(0.92, 0.89, 0.94)}},
        "per_class": [{"label": name, "n": 100, "recall": 0.92} for name in names],
        "confusion": {"labels": names, "matrix": matrix},
        "data": {"path": "photos", "rows": 2000, "quarantined": 2, "quarantine_reasons": {"not an image": 2},
                 "classes": dict.fromkeys(names, 499), "split": {"method": "holdout"}},
        "findings": {"label_errors": {"count": 0, "checked": 1598, "noise_rate": 0.0, "noise_test": 0.0}},
        "label_curve": {"metric": "accuracy", "sentence": "92.1% after 1,598 labels.", "doubled": None,
                        "extrapolation": {"labels": 100, "gain": 0.001, "low": 0.0, "high": 0.003}},
        "depth": {"why": "tuning the last block and head did not pay: log-loss +0.002", "rungs": [RUNG]},
        "model": {"candidates": [{"id": "m", "score": 0.3, "score_name": "log-loss", "chosen": True, "note": "fast"}]},
        "evidence": {"naive": {"name": "pixels", "gain": interval(0.2, 0.15, 0.25)}},
        "settings": {"depth": "auto"},
        "budget_seconds": 300.0,
        "warnings": [],
    }  # fmt: skip


def with_label_noise(rate: float = 0.08) -> dict[str, Any]:
    run = healthy()
    run["metrics"]["test"]["accuracy"] = interval(0.86, 0.83, 0.89)
    run["findings"]["label_errors"] = {
        "count": 120, "checked": 1598, "noise_rate": rate, "noise_test": 160.0, "file": "findings/label_errors.csv",
        "relabelled": {"others": {**interval(0.004, -0.002, 0.01), "rows": 1478}},
    }  # fmt: skip
    run["label_curve"]["extrapolation"] = {"labels": 100, "gain": 0.008, "low": 0.004, "high": 0.012}
    return run


def with_short_budget() -> dict[str, Any]:
    run = healthy()
    run["depth"] = {
        "why": "tuning the last block and head paid: log-loss -0.039; tuning the last third and head was left out: it "
        "does not fit the budget (4 s left for it, a step takes 0.52 s)",
        "rungs": [RUNG, {"name": "block", "metric": "log_loss", "difference": interval(-0.039, -0.058, -0.02)}],
    }
    return run


def with_a_tiny_weak_class(examples: int = 40) -> dict[str, Any]:
    run = healthy()
    run["data"]["classes"]["dog"] = examples
    run["per_class"][3] = {"label": "dog", "n": 8, "recall": 0.125}
    run["confusion"]["matrix"][3] = [5, 1, 1, 1]
    return run


def first(run: dict[str, Any]) -> dict[str, Any]:
    step: dict[str, Any] = next_steps(run, "runs/x")["steps"][0]
    return step


def test_label_noise_puts_the_labels_first() -> None:
    steps = next_steps(with_label_noise(), "runs/x")["steps"]
    assert steps[0]["what"] == "labels"
    scored, learnt = (s for s in steps if s["what"] == "labels")
    assert "about 8.0% of the labels" in scored["because"]
    assert "120 labels" in learnt["action"] and "about 8.0% of 1,598 labels" in learnt["because"]
    assert learnt["command"] == "headstart refine runs/x --labels runs/x/findings/label_errors.csv"


def test_what_wrong_labels_take_from_the_score_is_no_gain_of_the_model() -> None:
    # four classes, 8% replaced: m = 0.92 a + 0.08 (1 - a) / 3 = 0.86, so a = (0.86 - 0.08/3) / (1 - 0.32/3)
    reading = (0.86 - 0.08 / 3) / (1 - 0.32 / 3) - 0.86
    scored, learnt = (s for s in next_steps(with_label_noise(), "runs/x")["steps"] if s["what"] == "labels")
    assert scored["gain"]["kind"] == "reading"
    assert scored["gain"]["value"] == pytest.approx(reading)
    assert 0 < scored["gain"]["low"] < reading < scored["gain"]["high"]
    assert scored["gain_in_words"].endswith("of what the score reads, not of the model")
    # correcting the listed rows, of which none is scored, brings what training on them brings: here not shown
    assert learnt["gain"] == {"value": 0.004, "low": -0.002, "high": 0.01, "kind": "measured"}
    assert learnt["gain_in_words"].startswith("gain not shown") and learnt["worth_trying"] and not learnt["shown"]


def test_with_cross_validation_the_listed_rows_are_the_scored_ones() -> None:
    run = with_label_noise()
    run["findings"]["label_errors"]["count"] = 60
    run |= {"headline_split": "cross_validation", "metrics": {"cross_validation": run["metrics"]["test"]}}
    (step,) = (s for s in next_steps(run, "runs/x")["steps"] if s["what"] == "labels")
    assert step["gain"]["value"] == pytest.approx(0.004 + 60 / 1598)  # no more than the share that is listed
    assert step["shown"]


def test_a_test_set_of_the_users_own_is_not_taken_for_wrong() -> None:
    run = with_label_noise()
    run["data"]["split"]["method"] = "given"
    steps = next_steps(run, "runs/x")["steps"]
    (labels,) = (s for s in steps if s["what"] == "labels")
    assert labels["gain"]["value"] == pytest.approx(0.004)
    assert labels["worth_trying"] and not labels["shown"]
    assert steps[0]["what"] == "more data"


def test_a_short_budget_puts_the_budget_first() -> None:
    step = first(with_short_budget())
    assert (step["what"], step["gain"], step["worth_trying"]) == ("budget", None, True)
    assert step["because"] == (
        "tuning the last third and head was left out for time (4 s left for it, a step takes 0.52 s); the rung before "
        "changed log-loss by -0.039 (-0.058 to -0.020)"
    )
    assert step["command"] == "headstart refine runs/x --budget 15m"
    assert step["gain_in_words"] == "gain not measured"


def test_a_rung_that_ran_out_of_time_calls_for_budget_too() -> None:
    run = healthy()
    run["depth"]["why"] = "tuning the last block was left out: out of time in epoch 2 of 8"
    assert first(run)["because"] == "tuning the last block was left out for time (out of time in epoch 2 of 8)"


@pytest.mark.parametrize(("warning", "what"), [
    ("No last training on all rows: no time is left for one epoch of it. The network of the first fold ships, which "
     "learnt from 250 of 374 rows. More time: --budget.", "the last training on all rows"),
    ("Tuning the last block was cut short (out of time in epoch 3 of 8); its best epoch until then counts. More time: "
     "--budget.", "the whole schedule"),
])  # fmt: skip
def test_trainings_that_time_cut_short_want_more_of_it(warning: str, what: str) -> None:
    run = healthy()
    run["warnings"] = [warning]
    step = first(run)
    assert step["action"] == f"give more time, for {what}"
    assert step["because"] == warning.removesuffix(" More time: --budget.").removesuffix(".")
    run["warnings"] = ["No last training on all rows: Interrupted. The network of the first fold ships."]
    assert not [s for s in next_steps(run, "runs/x")["steps"] if s["what"] == "budget"]


def test_the_sentence_on_rungs_left_out_is_the_one_that_tuning_writes() -> None:
    """The words come from stages/tuning_plan.py by way of stages/finetune.py."""
    from pathlib import Path

    import headstart

    stages = Path(headstart.__file__).parent / "stages"
    assert 'f"it does not fit the budget (' in (stages / "tuning_plan.py").read_text()
    assert 'f"tuning the {depth.part} was left out: {attempt}"' in (stages / "finetune.py").read_text()
    assert 'f"out of time in epoch' in (stages.parent / "training" / "loop.py").read_text()
    assert "rows are learnt from:" in (stages / "subset.py").read_text()
    assert 'f"No last training on all rows: {stopped}' in (stages / "final_training.py").read_text()
    assert "was cut short ({stopped})" in (stages / "rung.py").read_text()


def test_one_weak_tiny_class_comes_first_with_at_most_what_it_costs() -> None:
    step = first(with_a_tiny_weak_class())
    assert (step["what"], step["gain"]["kind"]) == ("class", "ceiling")
    assert step["action"] == "add examples of the class 'dog'"
    assert "it has 40 examples, the middle class 499" in step["because"]
    assert step["gain"]["value"] == pytest.approx((0.92 - 0.125) * 8 / 308)
    assert step["gain_in_words"].startswith("at most +2.1 points")


def test_of_two_classes_the_weaker_one_promises_no_number() -> None:
    run = with_a_tiny_weak_class()
    run["per_class"], run["data"]["classes"] = run["per_class"][2:], {"cow": 499, "dog": 40}
    step = first(run)
    assert (step["action"], step["gain"]) == ("add examples of the class 'dog'", None)
    assert "of the other class 92%" in step["because"]


def test_a_weak_class_that_is_not_small_is_told_with_what_it_is_taken_for() -> None:
    step = first(with_a_tiny_weak_class(examples=499))
    assert step["action"] == "look at the class 'dog', which is taken for 'ant'"
    assert "5 of them are taken for 'ant'" in step["because"]


def test_where_nothing_is_wrong_it_says_so_and_raises_no_alarm() -> None:
    found = next_steps(healthy(), "runs/x")
    assert not any(step["worth_trying"] for step in found["steps"])
    assert step_lines({"next_steps": found}) == []
    assert found["sentence"].startswith("Nothing that this run measured promises a clear gain: none of 1,598 labels")
    assert "100 more labels would bring about +0.1 points" in found["sentence"]


def test_where_there_was_no_time_to_look_for_wrong_labels_none_are_cleared() -> None:
    run = healthy()
    run["findings"]["label_errors"] = {"count": 0, "rows": [], "skipped": "no time"}
    sentence = next_steps(run, "runs/x")["sentence"]
    assert sentence.startswith("Nothing that this run measured promises a clear gain: no class lags")
    assert "looks wrong" not in sentence
    run |= {"per_class": [], "label_curve": {}, "depth": with_short_budget()["depth"]}
    del run["depth"]["rungs"]
    assert not next_steps(run, "runs/x")["sentence"].endswith(": .")


def test_without_a_label_curve_more_data_are_left_out() -> None:
    run = healthy()
    del run["label_curve"]
    assert next_steps(run, "runs/x")["steps"] == []


@pytest.mark.parametrize("low", [0.004, 0.0])
def test_more_data_are_worth_trying_only_where_the_curve_still_rises(low: float) -> None:
    run = healthy()
    run["label_curve"]["extrapolation"] = {"labels": 200, "gain": 0.009, "low": low, "high": 0.014}
    step = first(run)
    assert (step["what"], step["worth_trying"]) == ("more data", low > 0)
    assert step["because"] == "92.1% after 1,598 labels"


def test_unusable_rows_count_as_the_labels_that_they_would_be() -> None:
    run = healthy()
    run["data"] |= {"quarantined": 50, "quarantine_reasons": {"damaged image": 45, "empty file": 5}}
    run["label_curve"]["extrapolation"] = {"labels": 100, "gain": 0.02, "low": 0.01, "high": 0.03}
    steps = {s["what"]: s for s in next_steps(run, "runs/x")["steps"]}
    assert steps["rows"]["gain"]["value"] == pytest.approx(0.01)
    assert steps["rows"]["because"] == "50 of 2000 rows cannot be used, 45 of them: damaged image"


def test_rows_left_out_for_time_call_for_budget_with_what_twice_as_many_would_bring() -> None:
    run = healthy()
    run["warnings"] = ["600 of 1598 rows are learnt from: one pass would not fit the budget. Give more time."]
    run["label_curve"]["doubled"] = {"labels": 600, "gain": 0.03, "low": 0.02, "high": 0.05}
    step = first(run)
    assert (step["what"], step["gain"]["value"], step["shown"]) == ("budget", 0.03, True)
    assert step["because"].startswith("600 of 1598 rows are learnt from")
    run["depth"] = with_short_budget()["depth"]
    steps = [s for s in next_steps(run, "runs/x")["steps"] if s["what"] == "budget"]
    assert len(steps) == 1 and "tuning the last third and head was left out" in steps[0]["because"]


def test_other_models_are_told_by_what_selection_measured() -> None:
    run = healthy()
    run["model"]["candidates"] += [
        {"id": "slow", "score": 0.29, "score_name": "log-loss", "chosen": False, "note": ""},
        {"id": "large", "score": None, "score_name": "log-loss", "chosen": False,
         "note": "features of 1598 rows would take about 300 s, too long here"},
    ]  # fmt: skip
    run["evidence"]["naive"]["gain"] = interval(-0.03, -0.05, -0.01)
    steps = [s for s in next_steps(run, "runs/x")["steps"] if s["what"] == "model"]
    assert [s["action"] for s in steps] == ["try another model, or take pixels", "try large", "try slow"]
    assert steps[0]["gain"] == {"value": 0.03, "low": 0.01, "high": 0.05, "kind": "measured"}
    assert steps[2]["gain_in_words"] == "gain not shown" and not steps[2]["worth_trying"]


def test_a_class_too_small_to_judge_is_told() -> None:
    run = healthy()
    run["findings"]["classes"] = {"count": 1, "rows": [
        {"class": "eel", "score": 4.0, "reason": "4 distinct examples: too few to say"}]}  # fmt: skip
    step = first(run)
    assert step["action"] == "add examples of the class 'eel'"
    assert step["because"] == "'eel' has 4 distinct examples to learn from"


def test_the_terminal_gets_at_most_three_lines() -> None:
    run = copy.deepcopy(with_label_noise())
    run["depth"] = with_short_budget()["depth"]
    run["per_class"] = with_a_tiny_weak_class()["per_class"]
    run["data"]["quarantined"] = 300
    lines = step_lines({"next_steps": next_steps(run, "runs/x")})
    assert len(lines) == 3
    assert lines[0].startswith("look at the test rows") and "points, +" in lines[0]


def test_transcripts_have_steps_too() -> None:
    run = with_short_budget()
    run |= {"headline_metric": "wer", "metrics": {"test": {"wer": interval(0.05, 0.03, 0.07)}}, "per_class": [],
            "confusion": None, "findings": {"duplicates": {"count": 0}}, "evidence": {"naive": None}}  # fmt: skip
    run["data"]["classes"] = {}
    assert first(run)["what"] == "budget"
