"""Demo speech: telephone prompts of one US English speaker, 8 kHz, with transcripts."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from headstart.demo_data.apt import open_private_apt
from headstart.demo_data.folders import build_once
from headstart.demo_data.programs import run_program
from headstart.errors import DataError
from headstart.types import Reporter

PACKAGES = ("asterisk-core-sounds-en-wav", "asterisk-core-sounds-en")
MISSING_APT = (
    "The demo speech needs a Debian or Ubuntu machine: the recordings are Debian packages, and there is no apt-get. "
    "Use your own recordings: headstart fit recordings/"
)
TEST_SHARE = 0.3
MAX_DURATION_S = 30.0  # what Whisper hears at once
NEEDED_BYTES = 200_000_000  # package lists, packages, clips, a margin

# Remarks such as "[ascending tones]" and "(1 second of silence)", and keys whose spoken name is not written out.
_NOT_SPOKEN = re.compile(r"[\[\]()<>*#@]")


@dataclass(frozen=True)
class Clip:
    """One recording and what is said in it."""

    name: str  # path below the speaker's folder, without ".wav"
    transcript: str

    @property
    def is_speech(self) -> bool:
        return not _NOT_SPOKEN.search(self.transcript)

    @property
    def group(self) -> str:
        """Clips of one group stay on one side: equal texts, and menus recorded in versions that begin alike."""
        words = re.findall(r"[a-z0-9']+", self.transcript.lower())
        return " ".join(words[:8])


def prepare(root: Path, reporter: Reporter, language: str = "en") -> Path:
    """Write `<root>/phone-prompts/{train,test}/` with metadata.csv (file_name, transcription) and wav files.

    language: "en", "fr", "es", "it" or "ru"; another than English has a folder of its own, `<root>/phone-prompts-fr`.
    Returns the folder. Raises MachineError without apt, network or disk space.
    Source: Asterisk core sounds 1.6.1; the English ones recorded by Allison Smith.
    """
    packages = tuple(name.replace("-en", f"-{language}") for name in PACKAGES)
    name = "phone-prompts" if language == "en" else f"phone-prompts-{language}"

    def build(staging: Path, scratch: Path) -> None:
        reporter.say("Fetching package lists and telephone prompts with apt-get (about 30 MB).")
        unpacked = fetch(scratch, packages)
        sounds = find_one(unpacked, f"usr/share/asterisk/sounds/{language}_*", packages)
        transcripts = find_one(unpacked, f"usr/share/doc/*/core-sounds-{language}.txt*", packages)
        listed = parse_transcripts(read_text(transcripts))
        clips = [clip for clip in listed if clip.is_speech and is_usable(sounds / f"{clip.name}.wav")]
        train, test = split(clips)
        for name, side in (("train", train), ("test", test)):
            write_side(side, sounds, staging / name)
        shutil.copyfile(find_one(unpacked, f"usr/share/doc/{packages[0]}/copyright", packages), staging / "LICENCE.txt")
        reporter.say(
            f"Prepared {len(clips)} prompts: {len(train)} to train on, {len(test)} to test on. "
            f"Left out {len(listed) - len(clips)}: tones, silence, keys not written as words, missing or over 30 s."
        )

    recipe = {"packages": list(packages), "test_share": TEST_SHARE}
    return build_once(root / name, recipe, NEEDED_BYTES, reporter, build)


def fetch(scratch: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """Download and unpack the packages below `scratch`; returns the folder that holds their `usr`."""
    apt = open_private_apt(scratch / "apt", "none", MISSING_APT)
    downloads, unpacked = scratch / "downloads", scratch / "unpacked"
    downloads.mkdir()
    unpacked.mkdir()
    for package in apt.download(packages, downloads):
        run_program(["dpkg-deb", "-x", package, unpacked], f"Unpacking {package.name}", "Install dpkg, then try again.")
    return unpacked


def find_one(folder: Path, pattern: str, packages: Sequence[str] = PACKAGES) -> Path:
    """The one path that matches. Raises DataError when the packages are laid out otherwise."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise DataError(
            f"The packages {' and '.join(packages)} hold {len(found)} paths like {pattern}; expected one. "
            "This version of them is not known; use your own recordings: headstart fit recordings/"
        )
    return found[0]


def read_text(path: Path) -> str:
    """The text of a file that may be gzipped."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")


def parse_transcripts(text: str) -> list[Clip]:
    """Read lines "name: text", in which ";" starts a comment; entries without text are skipped."""
    clips = []
    for line in text.splitlines():
        name, colon, transcript = line.partition(":")
        transcript = re.sub(r"\s+", " ", transcript).strip()
        if colon and transcript and not line.startswith(";"):
            clips.append(Clip(name.strip(), transcript))
    return clips


def is_usable(path: Path) -> bool:
    """Whether a recording can be read, is not silent, and is short enough to be heard at once."""
    try:
        samples, sample_rate_hz = soundfile.read(path, dtype="float32")  # (T,)
    except soundfile.LibsndfileError:
        return False
    audible = len(samples) > 0 and float(abs(samples).max()) > 0.001
    return audible and len(samples) / sample_rate_hz <= MAX_DURATION_S


def split(clips: Iterable[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on and to test on, about 70 to 30; a group is never divided; the same on every machine."""
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[clip.group].append(clip)
    wanted = round(TEST_SHARE * sum(len(members) for members in groups.values()))
    train: list[Clip] = []
    test: list[Clip] = []
    for group in sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest()):
        (test if len(test) < wanted else train).extend(groups[group])
    return sorted(train, key=lambda clip: clip.name), sorted(test, key=lambda clip: clip.name)


def write_side(clips: Iterable[Clip], sounds: Path, folder: Path) -> None:
    """Copy clips and write their metadata.csv."""
    folder.mkdir()
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "transcription"])
        for clip in clips:
            target = folder / f"{clip.name}.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sounds / f"{clip.name}.wav", target)
            writer.writerow([f"{clip.name}.wav", clip.transcript])
