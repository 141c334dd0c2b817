"""Recordings of any length are transcribed by the stock loader; long ones in parts, with times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tiny
from headstart.data.audio import check_beginning
from headstart.data.checked import UnusableInput
from headstart.stock import transcripts


def test_a_long_recording_comes_in_parts_and_silence_is_no_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rate = 8_000
    loud = rng.normal(0, 0.1, 33 * rate).astype(np.float32)
    quiet = np.zeros(40 * rate, dtype=np.float32)
    soundfile.write(tmp_path / "long.wav", np.concatenate([loud, quiet]), rate)
    soundfile.write(tmp_path / "short.wav", loud[: 2 * rate], rate)
    settings = tiny.speech_model(tmp_path / "model") / "generation_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "max_new_tokens": 12}))  # as saved ones have it
    loaded = transcripts.load(str(settings.parent))
    names = [str(tmp_path / f"{name}.wav") for name in ("short", "long", "short")]
    short, long, again = transcripts.predict(loaded, names)
    assert "segments" not in short
    assert short["text"] == again["text"]
    ends = [(s["start"], s["end"]) for s in long["segments"]]
    assert ends[0][0] == 0
    assert ends[-1][1] < 62  # of 73 s: what is silent to the end is no part
    assert long["text"] == " ".join(s["text"] for s in long["segments"] if s["text"])


def test_the_beginning_of_a_long_recording_is_looked_at(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 45 * 8_000).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", samples, 8_000)
    assert check_beginning(str(tmp_path / "long.wav")).notes == ()
    soundfile.write(tmp_path / "nan.wav", np.full(45 * 8_000, np.nan, dtype=np.float32), 8_000, subtype="FLOAT")
    with pytest.raises(UnusableInput, match="NaN"):
        check_beginning(str(tmp_path / "nan.wav"))
