"""Several labels for one input, from the data to the saved model: native and portable folders."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart
import tiny
from headstart.stock_process import STOCK

pytestmark = pytest.mark.slow  # whole fits


def image_table(folder: Path) -> Path:
    """Blobs left, right, both or none; labels in one cell, separated by |."""
    rng = np.random.default_rng(0)
    rows = []
    folder.mkdir(parents=True)
    for i in range(80):
        labels = [name for name in ("left", "right") if rng.random() < 0.5]
        pixels = rng.integers(0, 90, (64, 64, 3))
        for name in labels:
            row, column = rng.integers(8, 40), rng.integers(2, 14) + 32 * (name == "right")
            pixels[row : row + 16, column : column + 14] += 140
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
        rows.append((f"{i}.png", "|".join(labels) or "[]"))
    with (folder / "metadata.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "labels"), *rows])
    return folder


def text_table(file: Path) -> Path:
    """Words that name their labels, as lists in JSON lines."""
    rng = np.random.default_rng(1)
    named = {"animal": "cat", "place": "house", "praise": "good"}
    lines = []
    for _ in range(120):
        labels = [label for label in named if rng.random() < 0.4]
        words = [*rng.choice(tiny.WORDS[:6], size=6), *(named[label] for label in labels)]
        lines.append(json.dumps({"text": " ".join(rng.permutation(words)), "tags": labels}))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))
    return file


@pytest.fixture(scope="module", params=["images", "texts"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "images":
        data, model = image_table(root / "data"), tiny.image_model(root / "model")
        given = {"label_separator": "|", "task": "image-classification"}
    else:
        data, model, given = text_table(root / "t.jsonl"), tiny.text_model(root / "model"), {"target_column": "tags"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        headstart.fit(
            data, model=str(model), budget="120s", out=str(root / "run"), depth="block", offline=True, **given
        )
    return data, root / "run"


def test_the_run_tells_of_labels_not_of_classes(run: tuple[Path, Path]) -> None:
    result = json.loads((run[1] / "result.json").read_text())
    assert result["task"].startswith("multi-label-") and result["headline_metric"] == "f1_per_input"
    metrics = result["metrics"]["cross_validation"]
    assert {"macro_average_precision", "micro_f1", "macro_f1", "binary_log_loss"} < set(metrics)
    assert metrics["f1_per_input"]["value"] > 0.75
    assert (
        result["depth"]["rungs"][-1]["name"] == "block" and result["depth"]["rungs"][0]["metric"] == "binary_log_loss"
    )
    assert result["evidence"]["naive"] and result["evidence"]["control"]
    assert result["confusion"] is None and not result["findings"].get("label_errors")
    assert sum(result["data"]["classes"].values()) > 40
    assert "F1" in (run[1] / "report.html").read_text()


def test_the_saved_model_answers_with_sets_without_headstart(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = run
    result = json.loads((folder / "result.json").read_text())
    inputs = [str(data / "0.png"), str(data / "1.png")] if data.is_dir() else ["the cat is a house", "good cat"]
    (tmp_path / "in").write_text(json.dumps(inputs))
    script = STOCK / result["artifact"]["script"]
    subprocess.run([sys.executable, str(script), str(folder / "model"), str(tmp_path / "in"), str(tmp_path / "out")],
                   check=True, capture_output=True)  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    limits = json.loads((folder / "model" / "thresholds.json").read_text())
    predictor = headstart.load(folder)
    for row, ours in zip(rows, predictor.stream(inputs)):
        assert row["labels"] == [n for n, p in row["probabilities"].items() if p >= limits[n]]
        assert list(ours.labels or ()) == row["labels"]
        assert ours.probabilities == pytest.approx(row["probabilities"], abs=1e-5)
        assert set(ours.to_json()) == {"input", "labels", "probabilities"}
    assert predictor.predict(inputs) == [row["labels"] for row in rows]
    assert predictor.predict_proba(inputs).shape == (2, len(limits))
    config = json.loads((folder / "model" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"


def test_other_data_are_scored_with_the_run_s_separator(run: tuple[Path, Path]) -> None:
    found = headstart.evaluate(run[1], run[0])
    assert found["metrics"]["f1_per_input"]["value"] > 0.75 and found["quarantined"] == 0


def test_the_model_card_s_loader_gives_the_same_labels(run: tuple[Path, Path]) -> None:
    data, folder = run
    code = (folder / "model" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    good = str(data / "1.png") if data.is_dir() else "the cat is a house"
    for placeholder in ('"photo.jpg"', '"a text"'):
        code = code.replace(placeholder, json.dumps(good))
    needed = f"import sys; sys.path.insert(0, {str(STOCK)!r}); import torchvision_ops; torchvision_ops.ensure()\n"
    answer = subprocess.run(
        [sys.executable, "-c", needed + code], cwd=folder / "model", check=True, capture_output=True, text=True
    ).stdout
    assert answer.strip() == str(headstart.load(folder).predict([good])[0])
