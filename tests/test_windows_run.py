"""Whole runs on long texts: read on in windows where held-out scores are better for it, and only there."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headstart
import tiny
from headstart.stages import windows
from headstart.stock_process import STOCK

pytestmark = pytest.mark.slow
LIMIT = 16  # tokens that the network reads
CLASSES = (("animal", "cat"), ("place", "house"), ("judgement", "good"))


def long_texts(file: Path, at_end: bool, per_class: int = 30) -> Path:
    """Texts of 40 to 60 words whose classes differ by words at the end, or at the beginning."""
    rng = np.random.default_rng(2)
    rows = []
    for name, word in CLASSES:
        for _ in range(per_class):
            words = [str(w) for w in rng.choice(tiny.WORDS[:6], size=rng.integers(40, 60))]
            said = [word] * 6
            rows.append((" ".join([*words, *said] if at_end else [*said, *words]), name))
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return file


def model(folder: Path) -> Path:
    tiny.text_model(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": LIMIT}))
    return folder


def fit(data: Path, folder: Path, **settings: object) -> headstart.Result:
    given = {"model": str(model(folder / "model")), "budget": "150s", "depth": "block", "offline": True} | settings
    return headstart.fit(data, out=str(folder / f"run {' '.join(settings)}"), **given)


def test_what_is_said_late_in_a_text_is_found_by_reading_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = long_texts(tmp_path / "late.csv", at_end=True)
    result = fit(data, tmp_path)
    run = Path(result.run)
    details = result.details
    assert details["model"]["windows"] == 5
    assert "up to 5 windows" in details["model"]["reading_check"]
    assert json.loads((run / "plan.json").read_text())["windows"] == 5
    assert not [w for w in details["warnings"] if "longer than" in w]
    assert details["metrics"]["cross_validation"]["accuracy"]["value"] > 0.9
    assert "windows, because that measured better" in (run / "report.html").read_text()
    # the folder answers alike by the stock script, and by what its README shows
    text = next(row["text"] for row in csv.DictReader(data.open(newline="")) if row["label"] == "place")
    ours = next(headstart.load(run).stream([text]))
    assert ours.label == "place"
    code = (run / "model" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    code = code.replace('"a text"', json.dumps(text))
    code = f"import sys; sys.path.insert(0, {str(STOCK)!r}); import torchvision_ops; torchvision_ops.ensure()\n{code}"
    answer = subprocess.run([sys.executable, "-c", code], cwd=run / "model", check=True, capture_output=True, text=True)
    name, chance = answer.stdout.split()
    assert (name, float(chance)) == ("place", pytest.approx(ours.probabilities["place"], abs=1e-5))
    # a second run takes the features that the first one kept into account: were they to be read once more, even this
    # network would be too slow
    monkeypatch.setattr(windows, "EXTRACTION_SHARE", 1e-9)
    second = fit(data, tmp_path, seed=0)
    assert second.details["model"]["windows"] == 5
    assert second.details["model"]["reading_check"] == details["model"]["reading_check"]
    # a replayed plan gives equal numbers
    again = fit(data, tmp_path, plan=str(run / "plan.json"))
    assert again.details["metrics"] == details["metrics"]


def test_where_the_beginning_says_it_all_only_that_is_read_and_the_report_says_so(tmp_path: Path) -> None:
    result = fit(long_texts(tmp_path / "early.csv", at_end=False), tmp_path)
    assert result.details["model"]["windows"] == 1
    (warning,) = [w for w in result.details["warnings"] if "longer than" in w]
    assert warning.startswith("90 of 90 texts are longer than the 16 tokens that are read; of each only the beginning")
    assert "reading on is not measurably better: log-loss" in warning
    assert not (Path(result.run) / "model" / "windows.json").exists()
