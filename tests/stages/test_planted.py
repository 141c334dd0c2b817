"""Dangers planted in whole runs are told: a useless network, a target that the inputs do not hold, a class of noise,
patients on both sides of the user's own split.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import headstart
import tiny
from headstart.cli.summary import summary_lines

pytestmark = pytest.mark.slow  # whole fits

TRAIN, TEST = 180, 90
WORD = {"animal": "cat", "place": "house"}


def fit(
    root: Path, model: Path, labelled: list[tuple[str, str]], patients: Sequence[str] | None = None
) -> dict[str, Any]:
    """A run of the head alone on texts of (what they are about, their label), the last of them to test on.

    patients: a value for each, by which they are grouped.
    """
    rng = np.random.default_rng(0)
    rows = []
    for i, (about, label) in enumerate(labelled):
        words = [*rng.choice(tiny.WORDS[:4], 3), *[WORD[about]] * 3, *rng.choice(tiny.WORDS[:6], 4)]
        text = " ".join(map(str, words)) + f" {i}"
        rows.append((text, label) if patients is None else (text, label, patients[i]))
    (root / "data").mkdir()
    for name, part in (("train", rows[:TRAIN]), ("test", rows[TRAIN:])):
        with (root / "data" / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("text", "label", "patient")[: len(part[0])], *part])
    return headstart.fit(
        root / "data", model=str(model), budget="200s", out=str(root / "run"), depth="head", offline=True,
        engine="torch", cache_dir=root / "cache", group_column="patient" if patients is not None else None,
    ).details  # fmt: skip


def about(i: int) -> str:
    return ("animal", "place")[i % 2]


def test_a_sound_network_on_clean_data_raises_no_alarm(tmp_path: Path) -> None:
    found = fit(tmp_path, tiny.text_model(tmp_path / "model"), [(about(i), about(i)) for i in range(TRAIN + TEST)])
    assert found["metrics"]["test"]["accuracy"]["value"] > 0.95
    assert found["evidence"]["verdict"] != "hurt"
    assert {name: f["count"] for name, f in found["findings"].items() if f["count"]} == {}


def test_a_network_that_tells_nothing_apart_is_said_to_hurt(tmp_path: Path) -> None:
    model = tiny.text_model(tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    (words,) = [name for name in weights if name.endswith("word_embeddings.weight")]
    weights[words][:] = weights[words][0]  # every word is the same
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    found = fit(tmp_path, model, [(about(i), about(i)) for i in range(TRAIN + TEST)])
    assert found["metrics"]["test"]["accuracy"]["value"] < 0.7
    evidence = found["evidence"]
    assert evidence["verdict"] == "hurt"
    assert "Transfer hurt" in evidence["sentence"] and "does better on this data" in evidence["sentence"]
    assert evidence["control"]["gain"]["high"] < 0 and evidence["naive"]["gain"]["high"] < 0


def test_a_target_that_the_inputs_do_not_hold_is_told_and_nobody_s_labels_are_blamed(tmp_path: Path) -> None:
    coins = [(about(i), ("heads", "tails")[i // 2 % 2]) for i in range(TRAIN + TEST)]  # half of each, whatever about
    found = fit(tmp_path, tiny.text_model(tmp_path / "model"), coins)
    assert found["evidence"]["verdict"] == "no difference"
    assert {row["class"] for row in found["findings"]["classes"]["rows"]} == {"heads", "tails"}
    assert found["findings"]["label_errors"]["count"] == 0
    assert any(line.startswith("Found") and "2 classes" in line for line in summary_lines(found, "runs/x"))


def test_a_class_of_noise_is_named_and_no_other(tmp_path: Path) -> None:
    labels = ["noise" if i % 6 in (4, 5) else about(i) for i in range(TRAIN + TEST)]
    found = fit(tmp_path, tiny.text_model(tmp_path / "model"), [(about(i), name) for i, name in enumerate(labels)])
    assert [row["class"] for row in found["findings"]["classes"]["rows"]] == ["noise"]


def test_patients_on_both_sides_are_a_leak_and_others_are_not(tmp_path: Path) -> None:
    patients = [f"p{i // 3}" for i in range(TRAIN + TEST)]  # three texts of each
    patients[TRAIN + 10] = patients[TRAIN + 20] = "p7"
    labelled = [(about(i), about(i)) for i in range(TRAIN + TEST)]
    found = fit(tmp_path, tiny.text_model(tmp_path / "model"), labelled, patients)
    leaks = found["findings"]["leaks"]
    assert [row["input"] for row in leaks["rows"]] == ["test.csv row 11", "test.csv row 21"]
    assert all("same group as the training row" in row["reason"] for row in leaks["rows"])
    assert leaks["without"]["value"] >= 0.95
    assert any("2 of 90 test rows are also in the training rows" in warning for warning in found["warnings"])
