"""Only the pinned wheel is accepted."""

import hashlib
import sys

import pytest

from headstart.demo_data.wheel import download_wheel
from headstart.errors import MachineError

CONTENT = "wheel"
SHA256 = hashlib.sha256(CONTENT.encode()).hexdigest()


@pytest.fixture
def fake_python(tmp_path, monkeypatch):
    """A stand-in for the interpreter that runs pip: the given shell lines with $dest set."""

    def install(lines):
        script = tmp_path / "python"
        find_dest = 'while [ "$1" != "--dest" ]; do shift; done; dest="$2"; pinned="$3"\n'
        script.write_text(f"#!/bin/sh\n{find_dest}{lines}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    (tmp_path / "dest").mkdir()
    return install


def test_returns_the_checked_wheel(tmp_path, fake_python):
    fake_python(f'[ "$pinned" = "pkg==1.0" ] && printf {CONTENT} > "$dest/pkg-1.0-py3-none-any.whl"')
    assert download_wheel("pkg", "1.0", SHA256, tmp_path / "dest").read_text() == CONTENT


def test_wrong_digest(tmp_path, fake_python):
    fake_python('printf other > "$dest/pkg-1.0-py3-none-any.whl"')
    with pytest.raises(MachineError, match=rf"pkg-1\.0.*expected {SHA256}.*pip cache purge"):
        download_wheel("pkg", "1.0", SHA256, tmp_path / "dest")


def test_no_network(tmp_path, fake_python):
    fake_python("echo 'ERROR: No matching distribution found for pkg==1.0' >&2; exit 1")
    with pytest.raises(MachineError, match=r"Downloading pkg==1\.0 with pip failed.*No matching.*package index"):
        download_wheel("pkg", "1.0", SHA256, tmp_path / "dest")


def test_no_pip(tmp_path, fake_python):
    fake_python("echo '/usr/bin/python: No module named pip' >&2; exit 1")
    with pytest.raises(MachineError, match=r"No module named pip.*python -m pip --version"):
        download_wheel("pkg", "1.0", SHA256, tmp_path / "dest")


def test_pip_that_fetches_nothing(tmp_path, fake_python):
    fake_python("exit 0")
    with pytest.raises(MachineError, match="gave 0 wheels"):
        download_wheel("pkg", "1.0", SHA256, tmp_path / "dest")
