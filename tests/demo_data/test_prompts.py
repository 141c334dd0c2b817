"""Telephone prompts: transcripts, usable clips, and a split that keeps like texts together."""

import csv
import gzip

import numpy as np
import pytest
import soundfile

from headstart.demo_data import apt, prompts
from headstart.demo_data.prompts import Clip
from headstart.errors import DataError, MachineError
from headstart.types import Silent

TRANSCRIPTS = """\
; Core sounds
activated: Activated.
digits/at: at
agent-pass: Please enter your password  followed by: the pound key.

beep: [this is a simple beep tone]
letters/at: at [@]
silence/1: (1 second of silence)
confbridge-join: <beep ascending>
both_help: press * to pause
empty:
no colon here
"""


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_wav(path, duration_s=1.0, level=0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(int(8000 * duration_s)) / 8000
    soundfile.write(path, level * np.sin(2 * np.pi * 300 * time_s), 8000)
    return path


def test_plain_speech_is_kept():
    clips = prompts.parse_transcripts(TRANSCRIPTS)
    assert [clip for clip in clips if clip.is_speech] == [
        Clip("activated", "Activated."),
        Clip("digits/at", "at"),
        Clip("agent-pass", "Please enter your password followed by: the pound key."),
    ]
    assert [clip.name for clip in clips if not clip.is_speech] == [
        "beep",
        "letters/at",
        "silence/1",
        "confbridge-join",
        "both_help",
    ]


def test_usable_recordings(tmp_path):
    assert prompts.is_usable(write_wav(tmp_path / "speech.wav"))
    assert not prompts.is_usable(write_wav(tmp_path / "silence.wav", level=0.0001))
    assert not prompts.is_usable(write_wav(tmp_path / "long.wav", duration_s=30.5))
    assert not prompts.is_usable(write_wav(tmp_path / "empty.wav", duration_s=0))
    assert not prompts.is_usable(tmp_path / "missing.wav")


def test_split_keeps_groups_together():
    clips = [Clip(f"a{i}", f"prompt number {i // 2}{'.' * (i % 2)}") for i in range(100)]
    train, test = prompts.split(clips)
    assert (len(train), len(test)) == (70, 30)
    assert not {clip.group for clip in train} & {clip.group for clip in test}
    assert prompts.split(clips[::-1]) == (train, test)


def test_versions_of_a_menu_are_one_group():
    start = "Please press 1 to mute or unmute yourself, "
    assert Clip("a", start + "or 8 to exit.").group == Clip("b", start + "or 9 for more.").group
    assert Clip("a", "Thank you.").group == Clip("b", "thank you").group != Clip("c", "first").group


def make_packages(scratch, packages):
    """What the two packages hold, made small."""
    unpacked = scratch / "unpacked"
    for name, level in (("activated", 0.5), ("digits/at", 0.5), ("agent-pass", 0.0), ("beep", 0.5)):
        write_wav(unpacked / "usr/share/asterisk/sounds/en_US" / f"{name}.wav", level=level)
    text = unpacked / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    text.parent.mkdir(parents=True)
    text.write_bytes(gzip.compress(TRANSCRIPTS.encode()))
    licence = unpacked / "usr/share/doc/asterisk-core-sounds-en-wav/copyright"
    licence.parent.mkdir(parents=True)
    licence.write_text("CC-BY-SA")
    return unpacked


def test_prepare_lays_out_two_sides(tmp_path, monkeypatch):
    monkeypatch.setattr(prompts, "fetch", make_packages)
    folder = prompts.prepare(tmp_path, Silent())
    sides = [read(folder / side / "metadata.csv") for side in ("train", "test")]
    listed = {row["file_name"]: row["transcription"] for side in sides for row in side}
    assert [len(side) for side in sides] == [1, 1]
    assert listed == {"activated.wav": "Activated.", "digits/at.wav": "at"}
    for side, name in zip(sides, ("train", "test"), strict=True):
        assert all((folder / name / row["file_name"]).exists() for row in side)
    assert (folder / "LICENCE.txt").exists()


def test_unknown_layout(tmp_path, monkeypatch):
    monkeypatch.setattr(prompts, "fetch", lambda scratch, packages: scratch)
    with pytest.raises(DataError, match="hold 0 paths like"):
        prompts.prepare(tmp_path, Silent())
    assert list(tmp_path.iterdir()) == []


def test_without_apt(tmp_path, monkeypatch):
    monkeypatch.setattr(apt.shutil, "which", lambda name: None)
    with pytest.raises(MachineError, match=r"Debian or Ubuntu.*headstart fit recordings"):
        prompts.prepare(tmp_path, Silent())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_real_prompts(tmp_path):
    folder = prompts.prepare(tmp_path, Silent())
    train, test = read(folder / "train" / "metadata.csv"), read(folder / "test" / "metadata.csv")
    assert (len(train), len(test)) == (374, 160)
    assert not {row["transcription"] for row in train} & {row["transcription"] for row in test}
    for side, listed in (("train", train), ("test", test)):
        durations_s = [soundfile.info(folder / side / row["file_name"]).duration for row in listed]
        assert min(durations_s) > 0.3 and max(durations_s) <= 30
