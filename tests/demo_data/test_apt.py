"""apt runs on a private state, and says what is missing."""

import shutil
from pathlib import Path

import pytest

from headstart.demo_data import apt
from headstart.demo_data.apt import PrivateApt, main_suite_files, open_private_apt
from headstart.errors import MachineError

FAKE_APT_GET = """#!/bin/sh
for word in "$@"; do
  case "$word" in
    update) exit 0 ;;
    download) touch one.deb; exit 0 ;;
    indextargets) printf '%b' "$FAKE_TARGETS"; exit 0 ;;
  esac
done
exit 3
"""


@pytest.fixture
def fake_apt(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "apt-get"
    program.write_text(FAKE_APT_GET)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(apt, "APT_HELPER", str(program))
    monkeypatch.setenv("FAKE_TARGETS", "Debian\\tstable\\tmain\\t\\t/lists/Packages\\n")
    return tmp_path / "private"


def test_every_state_folder_is_private(tmp_path):
    words = PrivateApt(tmp_path, "en,de").command("update")
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    for name in ("Dir::State", "Dir::State::lists", "Dir::State::status", "Dir::Cache"):
        assert Path(settings[name]).is_relative_to(tmp_path)
    assert settings["Acquire::Languages"] == "en,de"
    assert words[-1] == "update"


def test_opens_and_lists(fake_apt):
    opened = open_private_apt(fake_apt, "en", "missing")
    assert opened.lists("Packages") == [Path("/lists/Packages")]
    assert (fake_apt / "state" / "lists" / "partial").is_dir()


def test_no_apt(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MachineError, match="needs Debian"):
        open_private_apt(tmp_path / "private", "en", "needs Debian")
    assert not (tmp_path / "private").exists()


def test_update_that_fetches_nothing(fake_apt, monkeypatch):
    monkeypatch.setenv("FAKE_TARGETS", "")
    with pytest.raises(MachineError, match=r"no package list.*apt-get update"):
        open_private_apt(fake_apt, "en", "missing")


def test_download_that_lacks_a_package(fake_apt, tmp_path):
    opened = open_private_apt(fake_apt, "none", "missing")
    with pytest.raises(MachineError, match="gave 1 files where 2"):
        opened.download(["one", "two"], tmp_path)


def test_main_suite_only():
    rows = [
        ["Debian", "bookworm", "main", "en", "/a"],
        ["Debian", "bookworm", "main", "de", "/b"],
        ["Debian", "bookworm-security", "main", "en", "/c"],
        ["Debian", "bookworm", "contrib", "en", "/d"],
        ["Vendor", "stable", "main", "en", "/e"],
        ["Ubuntu", "noble", "universe", "en", "/f"],
        ["Debian", "bookworm", "main", "en", "/a"],
        ["cut off"],
    ]
    assert main_suite_files(rows, "en") == [Path("/a"), Path("/f")]
    assert main_suite_files(rows) == [Path("/a"), Path("/b"), Path("/f")]
