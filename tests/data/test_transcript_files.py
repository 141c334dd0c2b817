"""Speech corpora in their own layouts become one table of files, transcripts, speakers and splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from headstart.data import folders
from headstart.data.columns import infer
from headstart.errors import DataError


def clip(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, 0.1 * np.random.default_rng(0).normal(size=4000), 16_000)


def librispeech(root: Path) -> Path:
    for split, speaker in (("train-clean-100", "12"), ("dev-clean", "34"), ("test-clean", "56")):
        folder = root / split / speaker / "7"
        for n in range(2):
            clip(folder / f"{speaker}-7-000{n}.flac")
        lines = [f"{speaker}-7-000{n} HE SAID {n}" for n in range(3)]  # the third has no recording
        (folder / f"{speaker}-7.trans.txt").write_text("\n".join(lines) + "\n")
    return root


def test_librispeech_trees(tmp_path: Path) -> None:
    table = folders.read(librispeech(tmp_path))
    assert [(r.split, r.values["speaker"]) for r in table.rows[::3]] == [
        ("train", "34"), ("test", "56"), ("train", "12")]  # fmt: skip
    assert table.rows[0].values["transcription"] == "HE SAID 0"
    assert [Path(r.values["file"]).is_file() for r in table.rows[:3]] == [True, True, False]
    columns = infer(table, group_column="speaker")
    assert (columns.modality, columns.target_kind) == ("audio", "text")


def test_a_tree_of_one_subset_is_split_by_headstart_and_speakers_are_told(tmp_path: Path) -> None:
    for speaker in ("1", "2"):
        folder = tmp_path / "dev-other" / speaker / "9"
        clip(folder / f"{speaker}-9-0000.flac")
        (folder / f"{speaker}-9.trans.txt").write_text(f"{speaker}-9-0000 WORDS\n")
    table = folders.read(tmp_path / "dev-other")
    assert {r.split for r in table.rows} == {None}
    assert any("--group-column speaker" in note for note in table.notes)


def test_kaldi_folders(tmp_path: Path) -> None:
    for split in ("train", "test"):
        clip(tmp_path / "audio" / f"{split}.wav")
        folder = tmp_path / split
        folder.mkdir()
        (folder / "wav.scp").write_text(f"a {tmp_path}/audio/{split}.wav\nb sph2pipe -f wav x.sph |\n")
        (folder / "text").write_text("a good day\nb bad day\n")
        (folder / "utt2spk").write_text("a Ann\nb Bob\n")
    table = folders.read(tmp_path)
    assert [(r.id, r.split, r.values["speaker"]) for r in table.rows] == [
        ("a", "test", "Ann"), ("b", "test", "Bob"), ("a", "train", "Ann"), ("b", "train", "Bob")]  # fmt: skip
    assert [bool(r.fault) for r in table.rows] == [False, True, False, True]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_manifests_with_a_broken_line(tmp_path: Path, suffix: str) -> None:
    clip(tmp_path / "x.wav")
    lines = [json.dumps({"audio_filepath": "x.wav", "duration": 0.25, "text": "grün"}, ensure_ascii=False), "{broken"]
    for split in ("train", "test"):
        (tmp_path / f"{split}_manifest{suffix}").write_text("\n".join(lines), encoding="utf-8")
    table = folders.read(tmp_path)
    assert [r.split for r in table.rows] == ["test", "test", "train", "train"]
    assert table.rows[0].values == {"file": str(tmp_path / "x.wav"), "transcription": "grün", "speaker": ""}
    assert table.columns == ("file", "transcription")
    assert [bool(r.fault) for r in table.rows] == [False, True, False, True]
    one = folders.read(tmp_path / f"train_manifest{suffix}")
    assert [r.split for r in one.rows] == ["train", "train"]


def test_common_voice_releases(tmp_path: Path) -> None:
    clip(tmp_path / "clips" / "c1.wav")
    for name in ("train", "dev", "test", "validated", "other"):
        (tmp_path / f"{name}.tsv").write_text(f"client_id\tpath\tsentence\nvoice-{name}\tc1.wav\tHello there\n")
    table = folders.read(tmp_path)
    assert [(r.split, r.values["speaker"]) for r in table.rows] == [
        ("train", "voice-train"), ("train", "voice-dev"), ("test", "voice-test")]  # fmt: skip
    assert all(Path(r.values["file"]).is_file() for r in table.rows)


def test_a_release_with_other_columns_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "train.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(DataError, match="path and sentence"):
        folders.read(tmp_path)


def test_lists_that_are_not_utf_8_are_told(tmp_path: Path) -> None:
    (tmp_path / "1-2.trans.txt").write_bytes(b"1-2-0 gr\xfcn\n")
    with pytest.raises(DataError, match="not UTF-8"):
        folders.read(tmp_path)


def test_other_folders_are_left_to_the_other_readers(tmp_path: Path) -> None:
    clip(tmp_path / "a" / "1.wav")
    clip(tmp_path / "b" / "1.wav")
    assert folders.read(tmp_path).layout == "class folders"
