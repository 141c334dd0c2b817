"""What an audio folder is taken for, and what the baseline without a network hears."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from headstart.settings import Settings
from headstart.stages.read import read_data
from headstart.tasks.audio_classification import TASK
from headstart.tasks.log_mel import RATE_HZ, log_mel
from headstart.types import Example, Silent


def write(file: Path, pitch: float, rng: np.random.Generator, rate: int = 16_000, seconds: float = 0.5) -> None:
    time = np.arange(int(rate * seconds)) / rate
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * pitch * time) + 0.02 * rng.normal(size=len(time)), rate)


def test_a_folder_for_each_class_is_audio_classification(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(6):
        write(tmp_path / ("low", "high")[i % 2] / f"{i}.{('wav', 'flac', 'ogg')[i % 3]}", 300 + 900 * (i % 2), rng)
    task, dataset, _ = read_data(Settings(str(tmp_path)), Silent())
    assert task.name == "audio-classification"
    assert dataset.classes == ("high", "low")


@pytest.mark.parametrize(
    ("column", "values", "name"),
    [
        ("label", ["low", "high"], "audio-classification"),
        ("transcription", ["it is low", "it is high"], "speech-recognition"),
    ],
)
def test_labels_and_transcripts_are_told_apart(tmp_path: Path, column: str, values: list[str], name: str) -> None:
    rng = np.random.default_rng(0)
    with (tmp_path / "metadata.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file_name", column])
        for i in range(8):
            write(tmp_path / f"{i}.wav", 300 + 900 * (i % 2), rng)
            rows.writerow([f"{i}.wav", values[i % 2]])
    assert read_data(Settings(str(tmp_path)), Silent())[0].name == name


@pytest.mark.parametrize("pitch", [200.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_its_own_band(pitch: float) -> None:
    """By the mel scale's formula the bands are evenly spaced from 50 to 7,600 Hz."""
    bands = log_mel(np.sin(2 * np.pi * pitch * np.arange(RATE_HZ) / RATE_HZ))
    assert bands.shape == (98, 40)  # 1 s: (16000 - 400) / 160 + 1
    mels = [2595 * np.log10(1 + hz / 700) for hz in (50, pitch, 7600)]
    expected = (mels[1] - mels[0]) / (mels[2] - mels[0]) * 41 - 1
    assert abs(bands.mean(0).argmax() - expected) <= 1


def test_the_baseline_tells_pitches_apart_and_not_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    examples = {"pitch": [], "noise": []}
    for i in range(40):
        write(tmp_path / f"pitch-{i}.wav", 300 + 900 * (i % 2), rng)
        write(tmp_path / f"noise-{i}.wav", 0.0, rng)
        for name, found in examples.items():
            found.append(Example(f"{i}", str(tmp_path / f"{name}-{i}.wav"), ("low", "high")[i % 2], "", ""))
    right = {}
    for name, found in examples.items():
        predictions = TASK.naive(found[:20], found[20:], ("high", "low"), 0)
        right[name] = np.mean([p.label == p.target for p in predictions])
    assert right["pitch"] == 1.0
    assert right["noise"] < 0.9
