"""Transcripts with times as subtitles: SubRip (srt) and WebVTT (vtt)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headstart.types import Segment


def captions(segments: Sequence[Segment], kind: str) -> str:
    """A whole subtitle file; kind: "srt" or "vtt". Parts without words are left out."""
    spoken = [s for s in segments if s.text.strip()]
    mark = "," if kind == "srt" else "."
    lines = [] if kind == "srt" else ["WEBVTT", ""]
    for number, segment in enumerate(spoken, start=1):
        lines += [str(number)] if kind == "srt" else []
        lines += [f"{_time(segment.start, mark)} --> {_time(segment.end, mark)}", segment.text.strip(), ""]
    return "\n".join(lines)


def _time(seconds: float, mark: str) -> str:
    """Hours, minutes, seconds and thousandths."""
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
