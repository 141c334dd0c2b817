"""Demo audio: the same telephone prompts in five languages, 8 kHz; which language is spoken?"""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from headstart.demo_data.folders import build_once
from headstart.demo_data.prompts import fetch, find_one, is_usable, parse_transcripts, read_text
from headstart.types import Reporter

LANGUAGES = ("en", "es", "fr", "it", "ru")
PROMPTS = 120  # in each language: a few minutes with what one voice says
NEEDED_BYTES = 600_000_000  # package lists, packages, what is in them, clips


def prepare(root: Path, reporter: Reporter) -> Path:
    """Write `<root>/phone-languages/` with metadata.csv (file_name, label, speaker) and wav files.

    Returns the folder. Raises MachineError without apt, network or disk space.
    Source: Asterisk core sounds 1.6.1. One voice for each language; English and Mexican Spanish share theirs.
    """
    packages = ("asterisk-core-sounds-en", *(f"asterisk-core-sounds-{language}-wav" for language in LANGUAGES))

    def build(staging: Path, scratch: Path) -> None:
        reporter.say("Fetching package lists and telephone prompts in five languages with apt-get (about 120 MB).")
        unpacked = fetch(scratch, packages)
        sounds = {c: find_one(unpacked, f"usr/share/asterisk/sounds/{c}_*", packages) for c in LANGUAGES}
        transcripts = find_one(unpacked, "usr/share/doc/*/core-sounds-en.txt*", packages)
        speech = [clip.name for clip in parse_transcripts(read_text(transcripts)) if clip.is_speech]
        names = choose([name for name in speech if all(is_usable(s / f"{name}.wav") for s in sounds.values())])
        write_clips(names, sounds, staging)
        licence = find_one(unpacked, f"usr/share/doc/{packages[1]}/copyright", packages)
        shutil.copyfile(licence, staging / "LICENCE.txt")
        reporter.say(f"Prepared {len(names)} prompts in each of {len(LANGUAGES)} languages.")

    return build_once(
        root / "phone-languages", {"packages": list(packages), "prompts": PROMPTS}, NEEDED_BYTES, reporter, build
    )


def choose(names: Sequence[str]) -> list[str]:
    """PROMPTS of these at most, the same on every machine."""
    mixed = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    return sorted(mixed[:PROMPTS])


def write_clips(names: Sequence[str], sounds: dict[str, Path], folder: Path) -> None:
    """Copy the clips of every language; the speaker is what the package's folder calls it."""
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "speaker"])
        for language, source in sounds.items():
            speaker = source.name.rpartition("_")[2]
            for name in names:
                target = folder / language / f"{name}.wav"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / f"{name}.wav", target)
                writer.writerow([f"{language}/{name}.wav", language, speaker])
