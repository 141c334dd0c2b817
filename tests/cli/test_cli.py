"""The commands as a user meets them: what they print, where, and the exit code."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tiny
from headstart.cli import COMMANDS, main
from headstart.cli.summary import summary_lines


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Headstart = Callable[..., Done]


@pytest.fixture
def headstart(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Headstart:
    """The entry point, in this process."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["headstart", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        told = capsys.readouterr()
        return Done(int(code or 0), told.out, told.err)

    return run


@dataclass(frozen=True)
class Tiny:
    data: Path
    model: Path
    run: Path
    told: str


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """`headstart fit`, once; told: its standard output."""
    root = tmp_path_factory.mktemp("cli")
    data, model, run = tiny.image_data(root / "data", 12), tiny.image_model(root / "model"), root / "run"
    arguments = ["fit", str(data), "--model", str(model), "--depth", "head", "--engine", "torch"]
    arguments += ["--budget", "60s", "--offline", "--out", str(run), "--cache-dir", str(root / "features of this run")]
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(told):
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")  # what --offline sets is put back afterwards
        patch.setenv("TRANSFORMERS_OFFLINE", "1")
        patch.setattr(sys, "argv", ["headstart", *arguments])
        main()
    return Tiny(data, model, run, told.getvalue())


def test_help_lists_the_commands(headstart: Headstart) -> None:
    done = headstart("--help")
    assert done.code == 0
    listed = [line.split()[0] for line in done.out.split("Commands:")[1].splitlines() if line.strip()]
    assert [name for name in listed if name in COMMANDS] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, headstart: Headstart) -> None:
    done = headstart(command, "--help")
    assert done.code == 0
    assert done.out.startswith("Usage:")


@pytest.mark.parametrize(("typed", "hint"), [("fitt", "'fit'"), ("predct", "'predict'"), ("xyzzy", "fit, predict")])
def test_an_unknown_command_hints_the_nearest(typed: str, hint: str, headstart: Headstart) -> None:
    done = headstart(typed, "data")
    assert done.code == 2
    assert f"There is no command {typed!r}" in done.err
    assert hint in done.err


def one_class(data: Path) -> Path:
    for file in (data / "right").iterdir():
        file.unlink()
    (data / "right").rmdir()
    return data


@pytest.mark.parametrize(("arguments", "told"), [
    (lambda root: [root / "nowhere"], "nowhere"),
    (lambda root: [tiny.text_data(root / "t.csv"), "--target-column", "lable"], "lable"),
    (lambda root: [one_class(tiny.image_data(root / "d", 4))], "class"),
    (lambda root: [tiny.image_data(root / "d", 12), "--model", "pip:efficientnet-lite9"], "pip:efficientnet-lite"),
    (lambda root: [tiny.image_data(root / "d", 12), "--model", root / "nothing"], "does not exist"),
    (lambda root: [root, "--budget", "soon"], "90s, 5m or 1h"),
    (lambda root: [root, "--budget", "1s"], "at least 5 s"),
    (lambda root: [root, "--plan", root / "no.json"], "no.json"),
], ids=["path", "column", "one class", "catalog id", "model folder", "budget", "small budget", "plan"])  # fmt: skip
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: Callable[[Path], list[object]], told: str, headstart: Headstart, tmp_path: Path
) -> None:
    done = headstart("fit", *arguments(tmp_path), "--offline", "--depth", "head", "--out", tmp_path / "run")
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    faults = [line for line in done.err.splitlines() if line.startswith("headstart: ")]
    assert faults == [done.err.splitlines()[-1]]  # progress may come before it
    assert told in faults[0]
    assert not (tmp_path / "run" / "result.json").exists()


def test_fit_ends_with_a_summary(tiny_run: Tiny) -> None:
    result = json.loads((tiny_run.run / "result.json").read_text())
    lines = {line.split()[0]: line for line in tiny_run.told.splitlines() if line}
    assert {"Model", "Depth", "Score", "Naive", "Time", "Where", "Next"} <= set(lines)
    accuracy = result["metrics"]["cross_validation"]["accuracy"]
    assert f"accuracy {100 * accuracy['value']:.1f}%" in lines["Score"]
    assert f"{100 * accuracy['low']:.1f}% to {100 * accuracy['high']:.1f}%" in lines["Score"]
    assert "asked for with --depth head" in lines["Depth"]
    level = next(row for row in result["conformal"]["levels"] if row["alpha"] == 0.05)
    assert f"{100 * level['undecided']:.1f}% of inputs with --abstain 0.05;" in lines["Undecided"]
    assert "95.0% promised" in lines["Undecided"]


def test_the_summary_counts_the_rows_that_were_scored(tiny_run: Tiny) -> None:
    result = json.loads((tiny_run.run / "result.json").read_text())
    folds = result["data"]["split"]["folds"]
    result["data"] |= {"used": 600, "split": result["data"]["split"] | {"train": 371}}
    score = next(line for line in summary_lines(result, "runs/x") if line.startswith("Score"))
    assert f"{folds}-fold cross-validation over 371 rows" in score


def test_the_summary_is_about_ten_lines_whatever_there_is_to_say(tiny_run: Tiny) -> None:
    result = json.loads((tiny_run.run / "result.json").read_text())
    step = {"action": "look", "gain_in_words": "+1.0 points", "command": "headstart refine x", "worth_trying": True}
    result["next_steps"]["steps"] = [step] * 9
    result["warnings"] = [f"warning {i}" for i in range(20)]
    result["findings"] = {"copies": {"count": 3}, "outliers": {"count": 2}}
    lines = summary_lines(result, "runs/x")[1:]  # an empty line sets it apart
    told = [line for line in lines if not line.startswith("Warning")]
    assert 10 <= len(told) <= 14
    assert sum(line.startswith("Help") for line in told) == 3
    warned = [line for line in lines if line.startswith("Warning")]
    assert len(warned) == 4 and warned[-1] == "Warning    17 more in the report"
    assert result["warnings"][0] in warned[0]


def test_cache_dir_takes_the_features_of_a_run(tiny_run: Tiny) -> None:
    root = tiny_run.run.parent
    assert list((root / "features of this run" / "features").glob("*/*.safetensors"))
    assert not (root / "cache" / "features").exists()
    settings = json.loads((tiny_run.run / "result.json").read_text())["settings"]
    assert settings["cache_dir"] == str(root / "features of this run")


def test_an_earlier_run_is_never_overwritten(tiny_run: Tiny, headstart: Headstart) -> None:
    before = (tiny_run.run / "result.json").read_bytes()
    done = headstart("fit", tiny_run.data, "--model", tiny_run.model, "--offline", "--out", tiny_run.run)
    assert done.code == 2
    assert "already holds a run" in done.err
    assert (tiny_run.run / "result.json").read_bytes() == before


def test_predict_on_a_pipe_writes_json_lines_and_an_error_row(
    tiny_run: Tiny, headstart: Headstart, tmp_path: Path
) -> None:
    good = tiny_run.data / "left" / "001.png"
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    done = headstart("predict", tiny_run.run, good, bad, tmp_path / "nowhere.png", good)
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["input"] for row in rows] == [str(good), str(bad), str(tmp_path / "nowhere.png"), str(good)]
    assert [set(row) == {"input", "error"} for row in rows] == [False, True, True, False]
    assert rows[0] == rows[3]
    assert rows[0]["label"] in ("left", "right")
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert done.code == 1
    assert "2 of 4 inputs could not be used." in done.err


def test_predict_takes_folders_globs_and_tables(tiny_run: Tiny, headstart: Headstart, tmp_path: Path) -> None:
    folder = tiny_run.data / "right"
    names = sorted(folder.glob("00*.png"))
    table = tmp_path / "list.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([["file_name"], *[[str(name)] for name in names]])
    by_glob = headstart("predict", tiny_run.run, folder / "00*.png")
    by_table = headstart("predict", tiny_run.run, table)
    by_folder = headstart("predict", tiny_run.run, folder)
    assert (by_glob.code, by_table.code, by_folder.code) == (0, 0, 0)
    assert by_glob.out == by_table.out
    assert len(by_glob.out.splitlines()) == len(names) == 10
    assert len(by_folder.out.splitlines()) == 12


def test_predict_on_a_terminal_writes_a_table(
    tiny_run: Tiny, headstart: Headstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = headstart("predict", tiny_run.run, tiny_run.data / "left" / "001.png")
    (line,) = done.out.splitlines()
    assert line.split()[0].endswith("left/001.png")
    assert line.split()[1] in ("left", "right")
    assert 0.5 <= float(line.split()[2]) <= 1


def test_predict_abstain_leaves_open_what_is_not_sure(tiny_run: Tiny, headstart: Headstart) -> None:
    done = headstart("predict", tiny_run.run, tiny_run.data / "left", "--abstain", "0.05")
    rows = [json.loads(line) for line in done.out.splitlines()]
    rows = [row for row in rows if "error" not in row]
    assert len(rows) == 12
    for row in rows:
        assert row["label"] == (row["candidates"][0] if len(row["candidates"]) == 1 else None)
        assert row["probability"] == (None if row["label"] is None else row["probabilities"][row["label"]])
    undecided = sum(row["label"] is None for row in rows)
    assert (
        f"{undecided} of 13 inputs left undecided. Of inputs drawn like the development rows, at most 5% get"
        in done.err
    )


def test_predict_abstain_on_a_terminal_names_the_candidates(
    tiny_run: Tiny, headstart: Headstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("headstart.predictor.Predictor.threshold", lambda self, abstain: 1.0)
    done = headstart("predict", tiny_run.run, tiny_run.data / "left" / "001.png", "--abstain", "0.05")
    assert "undecided: " in done.out
    assert {"left", "right"} <= set(done.out.replace(",", " ").split())


@pytest.mark.parametrize(("share", "told"), [
    ("0.01", "24 independent groups of rows support 0.04 and more, 1 in 25"),
    ("5", "abstain is 5; give a share above 0"), ("0", "above 0 and below 1"), ("nan", "above 0 and below 1"),
])  # fmt: skip
def test_predict_abstain_refuses_what_it_cannot_promise(
    share: str, told: str, tiny_run: Tiny, headstart: Headstart
) -> None:
    done = headstart("predict", tiny_run.run, tiny_run.data / "left", "--abstain", share)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_predict_says_how_many_inputs_are_unlike_the_training_data(
    tiny_run: Tiny, headstart: Headstart, tmp_path: Path
) -> None:
    from PIL import Image

    Image.linear_gradient("L").convert("RGB").save(tmp_path / "gradient.png")
    done = headstart("predict", tiny_run.run, tmp_path / "gradient.png", tiny_run.data / "left" / "001.png")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["ood"] for row in rows] == [True, False]
    assert rows[0]["ood_percentile"] > rows[1]["ood_percentile"]
    assert "1 of 2 inputs are unlike the development rows (ood)" in done.err


@pytest.mark.parametrize("command", ["predict", "evaluate", "report"])
def test_a_folder_that_is_no_run_is_refused(command: str, headstart: Headstart, tmp_path: Path) -> None:
    done = headstart(command, tmp_path, *([] if command == "report" else [tmp_path]))
    assert done.code == 2
    assert done.err.startswith("headstart: ")
    assert len(done.err.splitlines()) == 1


def test_predict_without_inputs_says_what_to_give(tiny_run: Tiny, headstart: Headstart) -> None:
    done = headstart("predict", tiny_run.run)
    assert done.code == 2
    assert "Nothing to predict" in done.err


def test_evaluate_prints_each_metric_with_its_interval(tiny_run: Tiny, headstart: Headstart) -> None:
    done = headstart("evaluate", tiny_run.run, tiny_run.data)
    assert done.code == 0
    assert done.out.splitlines()[0] == "24 rows, 1 not usable"
    assert any(line.startswith("accuracy") and "95% interval" in line for line in done.out.splitlines())
    assert any(line.startswith("sets at 95%") and "left undecided" in line for line in done.out.splitlines())
    assert "of 24 rows are unlike the development rows (ood)" in done.out
    as_json = headstart("evaluate", tiny_run.run, tiny_run.data, "--json")
    kept = json.loads((tiny_run.run / "evaluations" / "data.json").read_text())
    assert json.loads(as_json.out)["metrics"] == kept["metrics"]


def test_refine_goes_on_with_corrected_labels_and_compares(
    tiny_run: Tiny, headstart: Headstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what the run's --offline sets is put back afterwards
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    (tmp_path / "right.csv").write_text("input,given,suggested\nleft/001.png,left,right\n")
    done = headstart("refine", tiny_run.run, "--labels", tmp_path / "right.csv", "--out", tmp_path / "new")
    assert done.code == 0
    result = json.loads((tmp_path / "new" / "result.json").read_text())
    assert result["cache"]["misses"] == 0
    assert result["comparison"]["rows"] == 24 and result["comparison"]["corrected"] == 1
    before = next(line for line in done.out.splitlines() if line.startswith("Before"))
    assert "on the same 24 rows by cross-validation" in before and "1 of these rows have a corrected label" in before
    wrong = headstart("refine", tiny_run.run, "--labels", tmp_path / "none.csv", "--out", tmp_path / "never")
    assert (wrong.code, len(wrong.err.splitlines())) == (2, 1)
    assert "none.csv does not exist" in wrong.err


def test_report_prints_the_path(tiny_run: Tiny, headstart: Headstart) -> None:
    done = headstart("report", tiny_run.run)
    assert (done.code, done.out) == (0, f"{tiny_run.run / 'report.html'}\n")
    assert Path(done.out.strip()).is_file()


def test_report_opens_in_the_browser_or_says_where_it_is(
    tiny_run: Tiny, headstart: Headstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(asked.append(address)) or len(asked) == 1)
    address = (tiny_run.run / "report.html").resolve().as_uri()
    assert headstart("report", tiny_run.run, "--open").err == ""
    without = headstart("report", tiny_run.run, "--open")
    assert asked == [address, address]
    assert (without.code, without.err) == (0, f"No browser was found. Open {address} in one.\n")


def test_report_compares_runs(tiny_run: Tiny, headstart: Headstart, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(tiny_run.run, copied)
    done = headstart("report", copied, "--compare", tiny_run.run)
    assert done.code == 0
    assert "on the same 24 rows by cross-validation: gain +0.0 points" in done.out
    assert done.out.splitlines()[-1] == str(copied / "comparison.html")
    assert (copied / "comparison.html").is_file()
    assert headstart("report", copied, tiny_run.run).code == 2
    assert "cannot be compared" not in headstart("report", copied, "--compare", tiny_run.run).err


def test_models_lists_the_catalog(headstart: Headstart) -> None:
    done = headstart("models")
    assert done.code == 0
    assert "pip:efficientnet-lite0" in done.out
    assert headstart("models", "get", "pip:nonsense").code == 2


def test_ctrl_c_ends_with_130_and_no_traceback(headstart: Headstart, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headstart.cli.fit.run_fit_command", interrupted)
    done = headstart("fit", "data")
    assert done.code == 130
    assert done.err.strip() == "Interrupted."
