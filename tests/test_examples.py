"""The examples: short, and each runs to its end, on small data and tiny models."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headstart
import headstart.sklearn
import tiny

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
MOST_LINES = 60


def _pairs(root: Path, names: tuple[str, str]) -> tuple[list[Path | str], Path]:
    return [tiny.pair_data(root / "pairs.csv", 60, names), tiny.pair_model(root / "model")], root / "model"


# what each is called with, and the model that its fit is given
MADE: dict[str, Callable[[Path], tuple[list[Path | str], Path]]] = {
    "audio_classification": lambda root: (
        [tiny.audio_data(root / "data", 12)],
        tiny.audio_model(root / "model", "ast"),
    ),
    "image_classification": lambda root: ([tiny.image_data(root / "data")], tiny.image_model(root / "model")),
    "object_detection": lambda root: ([tiny.box_data(root / "data", 24)], tiny.image_model(root / "model")),
    "speech_recognition": lambda root: ([tiny.speech_data(root / "data")], tiny.speech_model(root / "model")),
    "summarization": lambda root: _pairs(root, ("document", "summary")),
    "text_classification": lambda root: (
        [tiny.text_data(root / "texts.csv", 24), "text", "label"],
        tiny.text_model(root / "model"),
    ),
    "translation": lambda root: _pairs(root, ("source", "target")),
}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_each_is_short_and_says_how_it_is_run(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert f"python examples/{file.name}" in text
    assert file.stem in MADE


@pytest.mark.slow
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_each_runs_to_its_end(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, model = MADE[file.stem](tmp_path)
    given: dict[str, Any] = {"model": str(model), "budget": "60s", "depth": "head", "offline": True}
    fit, classifier = headstart.fit, headstart.sklearn.TransferClassifier
    monkeypatch.setattr(headstart, "fit", lambda data, **own: fit(data, **own | given | {"out": tmp_path / "run"}))
    monkeypatch.setattr(headstart.sklearn, "TransferClassifier", lambda **own: classifier(**own | given))
    monkeypatch.setattr("sys.argv", [str(file), *map(str, arguments)])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(file), run_name="__main__")
    assert "report.html" in capsys.readouterr().out.splitlines()[-1]
