"""A prepared folder is complete or not there."""

import errno
from pathlib import Path

import pytest

from headstart.demo_data import folders
from headstart.demo_data.folders import build_once
from headstart.errors import DataError, MachineError
from headstart.types import Silent


def write_a(staging: Path, scratch: Path) -> None:
    (scratch / "download").write_text("x")
    (staging / "a.txt").write_text("a")


def must_not_run(staging: Path, scratch: Path) -> None:
    raise AssertionError("built again")


def test_builds_once_and_leaves_nothing_else(tmp_path):
    folder = build_once(tmp_path / "data" / "demo", {"n": 1}, 0, Silent(), write_a)
    assert (folder / "a.txt").read_text() == "a"
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]
    assert build_once(folder, {"n": 1}, 0, Silent(), must_not_run) == folder


def test_says_that_it_reuses(tmp_path):
    said = []

    class Recorder(Silent):
        def say(self, message):
            said.append(message)

    build_once(tmp_path / "demo", {}, 0, Silent(), write_a)
    build_once(tmp_path / "demo", {}, 0, Recorder(), must_not_run)
    assert len(said) == 1 and "demo" in said[0]


def test_other_recipe_replaces_the_folder(tmp_path):
    build_once(tmp_path / "demo", {"n": 1}, 0, Silent(), write_a)
    build_once(tmp_path / "demo", {"n": 2}, 0, Silent(), lambda staging, _: (staging / "b.txt").touch())
    assert sorted(path.name for path in (tmp_path / "demo").glob("*.txt")) == ["b.txt"]


@pytest.mark.parametrize("damage", ["a.txt", folders.MARKER])
def test_folder_that_lost_a_file_is_built_again(tmp_path, damage):
    build_once(tmp_path / "demo", {}, 0, Silent(), write_a)
    (tmp_path / "demo" / damage).unlink()
    build_once(tmp_path / "demo", {}, 0, Silent(), write_a)
    assert (tmp_path / "demo" / "a.txt").exists()


def test_failed_build_leaves_no_folder(tmp_path):
    def fail(staging: Path, scratch: Path) -> None:
        write_a(staging, scratch)
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        build_once(tmp_path / "demo", {}, 0, Silent(), fail)
    assert list(tmp_path.iterdir()) == []


def test_failed_rebuild_keeps_the_old_folder(tmp_path):
    def fail(staging: Path, scratch: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    build_once(tmp_path / "demo", {"n": 1}, 0, Silent(), write_a)
    with pytest.raises(MachineError, match=r"disk filled up.*HEADSTART_CACHE"):
        build_once(tmp_path / "demo", {"n": 2}, 0, Silent(), fail)
    assert (tmp_path / "demo" / "a.txt").read_text() == "a"


def test_failed_move_restores_the_old_folder(tmp_path, monkeypatch):
    build_once(tmp_path / "demo", {"n": 1}, 0, Silent(), write_a)
    real_rename = Path.rename

    def rename(self, target):
        if self.name == "staging":
            raise OSError(errno.EIO, "Input/output error")
        return real_rename(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(MachineError, match="Input/output error"):
        build_once(tmp_path / "demo", {"n": 2}, 0, Silent(), write_a)
    assert (tmp_path / "demo" / "a.txt").read_text() == "a"


def test_another_process_finishing_first_is_accepted(tmp_path):
    def slow(staging: Path, scratch: Path) -> None:
        build_once(tmp_path / "demo", {}, 0, Silent(), write_a)
        write_a(staging, scratch)

    assert build_once(tmp_path / "demo", {}, 0, Silent(), slow) == tmp_path / "demo"
    assert (tmp_path / "demo" / "a.txt").exists()


def test_too_little_disk_is_said_before_fetching(tmp_path):
    with pytest.raises(MachineError, match=r"need 1000000000000 MB.*free.*HEADSTART_CACHE"):
        build_once(tmp_path / "demo", {}, 10**18, Silent(), must_not_run)


def test_root_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="Cannot write"):
        build_once(tmp_path / "file" / "demo", {}, 0, Silent(), must_not_run)
