"""Transcripts with times as srt and vtt."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.cli.captions import captions
from headstart.cli.subtitles import Subtitles
from headstart.errors import SettingError
from headstart.types import Prediction, Segment

SAID = (Segment(0.0, 1.5, "Hello."), Segment(1.5, 3.0, " "), Segment(3661.25, 3662.0, "Bye."))


def test_subrip() -> None:
    assert captions(SAID, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n2\n01:01:01,250 --> 01:01:02,000\nBye.\n"
    )


def test_webvtt() -> None:
    assert captions(SAID, "vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello.\n")


def test_files_are_never_written_over(tmp_path: Path) -> None:
    for _ in range(2):
        Subtitles("speech-recognition", "srt", str(tmp_path / "out"), 2).add(
            Prediction("x/a.wav", text="", segments=SAID)
        )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a-2.srt", "a.srt"]


def test_what_gives_no_subtitles_is_refused() -> None:
    with pytest.raises(SettingError, match="for transcripts"):
        Subtitles("image-classification", "srt", None, 1)
    with pytest.raises(SettingError, match="--out"):
        Subtitles("speech-recognition", "vtt", None, 2)
