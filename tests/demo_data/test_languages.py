"""The same prompts in every language, with the voice that speaks them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from headstart.demo_data import languages
from headstart.types import Silent


def test_clips_of_all_languages_are_listed_with_label_and_speaker(tmp_path: Path) -> None:
    sounds = {"en": tmp_path / "en_US_f_Allison", "it": tmp_path / "it_IT_m_Carlo"}
    for folder in sounds.values():
        (folder / "digits").mkdir(parents=True)
        for name in ("hello", "digits/1"):
            (folder / f"{name}.wav").write_text(folder.name)
    staging = tmp_path / "staging"
    staging.mkdir()
    languages.write_clips(["digits/1", "hello"], sounds, staging)
    rows = list(csv.DictReader((staging / "metadata.csv").open()))
    assert [row["file_name"] for row in rows] == ["en/digits/1.wav", "en/hello.wav", "it/digits/1.wav", "it/hello.wav"]
    assert {(row["label"], row["speaker"]) for row in rows} == {("en", "Allison"), ("it", "Carlo")}
    assert (staging / "it/hello.wav").read_text() == "it_IT_m_Carlo"


def test_the_choice_does_not_depend_on_order() -> None:
    names = [f"prompt-{i}" for i in range(300)]
    assert languages.choose(names) == languages.choose(names[::-1])
    assert len(languages.choose(names)) == languages.PROMPTS


@pytest.mark.slow
def test_the_real_prompts(tmp_path: Path) -> None:
    folder = languages.prepare(tmp_path, Silent())
    rows = list(csv.DictReader((folder / "metadata.csv").open()))
    assert len(rows) == languages.PROMPTS * len(languages.LANGUAGES)
    assert {row["label"]: row["speaker"] for row in rows}["es"] == "Allison"
    assert all((folder / row["file_name"]).is_file() for row in rows)
    assert (folder / "LICENCE.txt").is_file()
