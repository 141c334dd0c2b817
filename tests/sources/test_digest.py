"""Digests notice a changed weight file and leave the user's folder alone."""

from __future__ import annotations

import hashlib

import pytest

from headstart.errors import ModelError
from headstart.sources import digest


def test_file_digest_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest.file_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_a_changed_weight_changes_the_digest_and_other_files_do_not(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"one")
    first = digest.weights_digest(folder)
    (folder / "README.md").write_text("new text")
    assert digest.weights_digest(folder) == first
    (folder / "model.safetensors").write_bytes(b"another")
    assert digest.weights_digest(folder) != first


def test_the_digest_is_remembered_outside_the_folder(tmp_path, cache, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"one")
    first = digest.weights_digest(folder)
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    monkeypatch.setattr(digest, "file_digest", lambda path: pytest.fail("hashed twice"))
    assert digest.weights_digest(folder) == first
    assert list((cache / "digests").iterdir())


def test_safetensors_come_before_pickles_and_training_states_do_not_count(tmp_path):
    (tmp_path / "training_args.bin").write_bytes(b"x")
    assert digest.weight_files(tmp_path) == []
    with pytest.raises(ModelError, match="no weights"):
        digest.weights_digest(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    assert [path.name for path in digest.weight_files(tmp_path)] == ["pytorch_model.bin"]
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert [path.name for path in digest.weight_files(tmp_path)] == ["model.safetensors"]
