"""`prove`: the same network from random weights, on the run's own rows, beside what transfer scored."""

from __future__ import annotations

import html
import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import headstart
import tiny
from headstart.cli import cli
from headstart.errors import DataError, RunError
from headstart.report import write_report
from headstart.stages import from_random, scratch
from headstart.stages.from_random import FromRandom

pytestmark = pytest.mark.slow  # whole fits, one after another


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prove")
    data, model = tiny.image_data(root / "data"), tiny.image_model(root / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        patch.setattr(scratch, "MIN_STEPS", 0)  # on a busy machine too
        headstart.fit(data, model=str(model), budget="300s", out=str(root / "run"), depth="head", offline=True)
    return root / "run"


def test_a_fit_measures_scratch_beside_transfer_on_rows_that_neither_learnt_from(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    beside = result["scratch"]
    assert beside["rows"] == 12  # a fifth of 60
    assert [p["name"] for p in beside["transfer"]] == ["head"]
    assert 0 < beside["transfer"][0]["seconds"] < result["seconds"]
    assert beside["points"][-1]["seconds"] < 0.06 * 300
    assert beside["sentence"].startswith("Transfer reached ")


def test_prove_trains_to_the_end_and_adds_what_it_found_to_the_run(run: Path) -> None:
    shown = CliRunner().invoke(cli, ["prove", str(run), "--budget", "20s"])
    assert shown.exit_code == 0, shown.output
    result = json.loads((run / "result.json").read_text())
    proof = result["proof"]
    assert proof["sentence"] in shown.output
    # without test rows the first fold is scored; the network learnt from the other four
    assert (proof["labels"], proof["rows"]) == (48, 12)
    rounds = proof["rounds"]
    for earlier, later in itertools.pairwise(rounds):  # as many epochs once more only at a lower rate
        again = later["epochs"] == earlier["epochs"] and later["rate"] < earlier["rate"]
        assert again or later["epochs"] == 2 * earlier["epochs"]
    losses = [r["loss"] for r in rounds]
    assert proof["epochs"] == rounds[losses.index(min(losses))]["epochs"]
    assert proof["rate"] == rounds[losses.index(min(losses))]["rate"]
    assert not proof["converged"] or (proof["has_learnt"] and losses[-1] > 0.99 * min(losses[:-1]))
    assert proof["gain"]["low"] <= proof["gain"]["value"] <= proof["gain"]["high"]
    difference = proof["scores"]["transfer"]["accuracy"]["value"] - proof["scores"]["scratch"]["accuracy"]["value"]
    assert proof["gain"]["value"] == pytest.approx(difference)
    assert proof["multiplier"]["skipped"] == "48 labels are too few for a curve"
    page = (run / "report.html").read_text()
    assert "And from random weights?" in page
    assert ("until more epochs did not help" in page) == proof["converged"]


def test_a_translator_is_proved_by_as_many_texts_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data, model = tiny.pair_data(tmp_path / "pairs.csv"), tiny.pair_model(tmp_path / "model")
    headstart.fit(data, model=str(model), budget="60s", out=str(tmp_path / "run"), depth="head", offline=True)
    outputs, seen = FromRandom.outputs, list[tuple[int, ...]]()
    monkeypatch.setattr(FromRandom, "outputs", lambda *a: seen.append(a[0].problem.backbone.search) or outputs(*a))
    monkeypatch.setattr(from_random, "WRITTEN", 8)
    scored = len((tmp_path / "run" / "predictions.jsonl").read_text().splitlines())
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    proof = headstart.prove(tmp_path / "run", budget="30s")
    assert (proof["of_rows"], proof["metric"]) == (scored, "chrf")
    assert proof["rows"] == min(8 * len(seen), scored) > 0  # how many fit depends on the machine
    assert set(seen) == {(plan["decoding"], plan["length_penalty"])}
    told = f"{proof['rows']} of {scored}" if proof["rows"] < scored else str(scored)
    assert f" on {told} rows)" in proof["sentence"]
    assert proof["points"] == [] and all(r["score"] is None for r in proof["rounds"])
    assert html.escape(proof["sentence"]) in (tmp_path / "run" / "report.html").read_text()


def test_other_data_are_refused(run: Path, tmp_path: Path) -> None:
    other = tiny.image_data(tmp_path / "other", per_class=20)
    with pytest.raises(DataError, match="are not those that"):
        headstart.prove(run, budget="20s", data=other)


def test_what_is_no_run_or_too_little_time_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a finished run"):
        headstart.prove(tmp_path, budget="20s")
    with pytest.raises(RunError, match=r"one epoch takes about .* Give more time with --budget"):
        headstart.prove(run, budget="0.01s")


def test_a_report_without_either_leaves_the_section_out(tmp_path: Path) -> None:
    write_report({"task": "image-classification", "scratch": {"skipped": "no time is left"}}, tmp_path / "r.html")
    assert "And from random weights?" not in (tmp_path / "r.html").read_text()
