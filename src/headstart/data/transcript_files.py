"""Find transcribed recordings as speech corpora lay them out: LibriSpeech trees, Kaldi folders, NeMo manifests, Common
Voice releases.

All become one table with the columns "file", "transcription" and, where it is known, "speaker".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headstart.data.table import RawTable, Row, read_table
from headstart.errors import DataError

COLUMNS = ("file", "transcription", "speaker")
RECORDINGS = (".flac", ".wav", ".ogg", ".mp3", ".opus")
_MANIFEST = "audio_filepath"


def find(root: Path, splits: Mapping[str, str]) -> RawTable | None:
    """The transcribed recordings of a folder or manifest, None where it is of none of these forms.

    splits: words in names of files and folders that say which split they hold. Raises DataError where a list cannot be
    read.
    """
    if root.is_file():
        return _manifests([root], root.parent, splits) if _is_manifest(root) else None
    if (root / "wav.scp").is_file() and (root / "text").is_file():
        return _kaldi([root], root, splits)
    kaldi = [p for p in sorted(root.iterdir()) if (p / "wav.scp").is_file() and (p / "text").is_file()]
    if kaldi:
        return _kaldi(kaldi, root, splits)
    if (root / "clips").is_dir() and (root / "train.tsv").is_file():
        return _common_voice(root, splits)
    if manifests := [p for p in sorted(root.iterdir()) if _is_manifest(p)]:
        return _manifests(manifests, root, splits)
    transcripts = sorted(root.rglob("*.trans.txt"))
    return _librispeech(transcripts, root, splits) if transcripts else None


def _librispeech(transcripts: list[Path], root: Path, splits: Mapping[str, str]) -> RawTable:
    """SPEAKER-CHAPTER.trans.txt with a line "SPEAKER-CHAPTER-NUMBER WORDS" for each recording beside it."""
    rows = []
    for file in transcripts:
        split = _split(file.relative_to(root).parts[:-1], splits)
        beside = {p.stem: p for p in file.parent.iterdir() if p.suffix.lower() in RECORDINGS}
        for name, words in _keyed(file):
            recording = beside.get(name, file.parent / f"{name}.flac")
            rows.append(_row(recording, words, name.partition("-")[0], split, root))
    return _table(rows, root, "LibriSpeech tree")


def _kaldi(folders: list[Path], root: Path, splits: Mapping[str, str]) -> RawTable:
    """wav.scp, text and perhaps utt2spk."""
    rows = []
    for folder in folders:
        split = _split((folder.name,), splits) if folder != root else None
        places = dict(_keyed(folder / "wav.scp"))
        speakers = dict(_keyed(folder / "utt2spk")) if (folder / "utt2spk").is_file() else {}
        for name, words in _keyed(folder / "text"):
            place = places.get(name, "")
            fault = "" if not place.endswith("|") else "made by a command; save the recording as a file"
            recording = Path(place or f"{name}.wav")
            recording = recording if recording.is_absolute() else folder / recording
            rows.append(_row(recording, words, speakers.get(name, ""), split, root, fault, name))
    return _table(rows, root, "Kaldi folder")


def _manifests(files: list[Path], root: Path, splits: Mapping[str, str]) -> RawTable:
    """Lines of JSON with audio_filepath and text."""
    rows = []
    for file in files:
        split = _split((file.stem,), splits)
        for number, line in enumerate(_lines(file), 1):
            record = _record(line)
            fault = "" if record and isinstance(record.get(_MANIFEST), str) else f"not an object with {_MANIFEST}"
            recording = Path(str((record or {}).get(_MANIFEST, "")))
            recording = recording if recording.is_absolute() else file.parent / recording
            words, speaker = (str((record or {}).get(key) or "") for key in ("text", "speaker"))
            rows.append(_row(recording, words, speaker, split, root, fault, f"{file.name} line {number}"))
    return _table(rows, root, "manifest")


def _common_voice(root: Path, splits: Mapping[str, str]) -> RawTable:
    """train.tsv, dev.tsv and test.tsv with path and sentence, recordings in clips/; the other lists are left alone."""
    rows = []
    for name in ("train", "dev", "test"):
        file = root / f"{name}.tsv"
        if not file.is_file():
            continue
        table = read_table(file)
        if not {"path", "sentence"} <= set(table.columns):
            raise DataError(f"{file.name} has no columns path and sentence, as Common Voice's. Name another table.")
        rows += [
            _row(root / "clips" / row.values["path"], row.values["sentence"], row.values.get("client_id", ""),
                 splits[name], root, row.fault)
            for row in table.rows
        ]  # fmt: skip
    return _table(rows, root, "Common Voice release")


def _row(file: Path, words: str, speaker: str, split: str | None, root: Path, fault: str = "", name: str = "") -> Row:
    given = name or (file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix())
    return Row(given, dict(zip(COLUMNS, (str(file.absolute()), words.strip(), speaker))), split, fault)


def _table(rows: list[Row], root: Path, layout: str) -> RawTable:
    notes = [f"read as a {layout}"]
    speakers = {row.values["speaker"] for row in rows} - {""}
    columns = COLUMNS if speakers else COLUMNS[:2]
    if len(speakers) > 1 and not any(row.split for row in rows):
        notes.append(f"{len(speakers)} speakers: --group-column speaker keeps each on one side of every split")
    if not any(row.split == "train" for row in rows):  # all of one kind: then it says nothing
        rows = [Row(r.id, r.values, None, r.fault) for r in rows]
    return RawTable(rows, root, "metadata", columns, notes)


def _split(parts: tuple[str, ...], splits: Mapping[str, str]) -> str | None:
    """By the first word that names one: train-clean-100, test_manifest."""
    words = [word for part in parts for word in re.split(r"[^a-z]+", part.lower())]
    return next((splits[word] for word in words if word in splits), None)


def _is_manifest(file: Path) -> bool:
    if not file.is_file() or file.suffix.lower() not in (".json", ".jsonl", ".manifest"):
        return False
    with file.open("rb") as stream:
        first = stream.readline(1 << 16)
    record = _record(first.decode("utf-8", "replace"))
    return record is not None and _MANIFEST in record


def _record(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _keyed(file: Path) -> Iterator[tuple[str, str]]:
    """Lines of a key, white space and the rest."""
    for line in _lines(file):
        key, _, rest = line.strip().partition(" ")
        yield key, rest.strip()


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} is not UTF-8 (byte {error.start}). Convert it to UTF-8.") from error
    return [line for line in text.splitlines() if line.strip()]
