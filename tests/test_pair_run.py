"""Pairs of texts in classes, from the table to the saved model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import headstart
import tiny
from headstart.cli import cli

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        first, second = (" ".join(rng.choice(tiny.WORDS[:8], size=4)) for _ in range(2))
        same = bool(rng.integers(2))
        mark = rng.choice(["good", "bad"])
        other = mark if same else {"good": "bad", "bad": "good"}[mark]
        rows.append((f"{first} {mark}", f"{second} {other}", "same" if same else "other"))
    with (root / "pairs.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("premise", "hypothesis", "label"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        headstart.fit(
            root / "pairs.csv", model=tiny.text_model(root / "model"), budget=40, depth="head", out=root / "run"
        )
    return root / "run", root / "pairs.csv"


def test_the_columns_are_found_and_told(run: tuple[Path, Path]) -> None:
    found = json.loads((run[0] / "result.json").read_text())
    assert found["task"] == "text-classification"
    assert found["data"]["columns"]["input"] == "premise + hypothesis"


def test_predictions_for_pairs(run: tuple[Path, Path]) -> None:
    predictor = headstart.load(run[0])
    assert predictor.predict([("the cat good", "a dog bad")])[0] in ("same", "other")
    done = CliRunner().invoke(cli, ["predict", str(run[0]), "--text", "the cat good", "--pair", "a dog bad"])
    line = json.loads(done.stdout.splitlines()[0])
    assert (line["input"], line["pair"]) == ("the cat good", "a dog bad")
    table = CliRunner().invoke(cli, ["predict", str(run[0]), str(run[1])])
    assert len(table.stdout.splitlines()) == 120
    wrong = CliRunner().invoke(cli, ["predict", str(run[0]), "--text", "a", "--text", "b", "--pair", "c"])
    assert wrong.exit_code != 0


def test_evaluate_joins_the_same_columns(run: tuple[Path, Path]) -> None:
    assert headstart.evaluate(run[0], run[1])["rows"] == 120
