"""The cache keeps to its size: what was not used for longest goes, what is in use stays, what is not ours is left."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from feature_store.made_records import open_store, records, same
from headstart.errors import SettingError
from headstart.feature_store import cap_bytes, clear, evict, lock
from headstart.feature_store.evict import remove_store

KEYS = [f"{i:032x}" for i in range(3)]
DAY = 86_400.0


def fill(root: Path, size: int = 25_000, ages: tuple[float, ...] = (30, 20, 10)) -> list[Path]:
    """Stores of size x 4 bytes, closed, last used these days ago."""
    for key, age in zip(KEYS, ages):
        store, _ = open_store(root / key)
        store.write({"d": {"x": np.zeros(size, np.float32)}})
        store.close()
        os.utime(root / key / ".lock", (time.time() - age * DAY,) * 2)
    return [root / key for key in KEYS]


def evicted(root: Path, cap: int) -> tuple[list[Path], list[str]]:
    said: list[str] = []
    return evict(root, cap, said.append), said


def test_the_least_recently_used_store_goes_first(tmp_path):
    stores = fill(tmp_path, ages=(10, 30, 20))
    removed, said = evicted(tmp_path, 250_000)  # three take a little more than 300,000
    assert removed == [stores[1]]
    assert len(said) == 1
    assert "removed 1 stores not used lately" in said[0]
    assert [store.exists() for store in stores] == [True, False, True]


def test_opening_a_store_counts_as_use(tmp_path):
    stores = fill(tmp_path)
    open_store(stores[0])[0].close()
    assert evicted(tmp_path, 250_000)[0] == [stores[1]]


def test_as_many_go_as_must(tmp_path):
    stores = fill(tmp_path)
    assert evicted(tmp_path, 10**6) == ([], [])
    assert evicted(tmp_path, 150_000)[0] == stores[:2]
    assert evicted(tmp_path, 0)[0] == stores[2:]
    assert evicted(tmp_path / "nothing here", 0) == ([], [])


def test_a_store_in_use_stays_and_the_excess_is_said(tmp_path):
    stores = fill(tmp_path)
    used, _ = open_store(stores[0])
    os.utime(stores[0] / ".lock", (0, 0))  # however long ago it was opened
    removed, said = evicted(tmp_path, 1000)
    assert removed == stores[1:]
    assert "the rest is in use" in said[-1]
    assert used.read("d", "x").shape == (25_000,)
    del used  # the object's end is enough
    assert evicted(tmp_path, 1000)[0] == stores[:1]


def test_reopening_an_evicted_store_finds_it_empty(tmp_path):
    stores = fill(tmp_path)
    assert remove_store(stores[0])
    store, said = open_store(stores[0])
    assert (len(store), said) == (0, [])
    store.write(records(2))
    assert same(open_store(stores[0])[0], records(2))


def test_a_process_that_waited_for_a_store_being_removed_makes_it_anew(tmp_path, monkeypatch):
    """The evictor wins the race at the worst moment: after the lock file was opened, before it is locked."""
    (folder, *_) = fill(tmp_path)
    locked = lock._lock
    races = iter([True])

    def lose(handle: int, exclusive: bool) -> bool:
        if not exclusive and next(races, False):
            assert remove_store(folder)
        return locked(handle, exclusive)

    monkeypatch.setattr(lock, "_lock", lose)
    store, said = open_store(folder)
    assert (len(store), said) == (0, [])
    assert (folder / ".lock").exists()
    assert evicted(tmp_path, 0)[0] == [tmp_path / key for key in KEYS[1:]]  # and holds the new one
    store.write(records(2))
    assert same(store, records(2))


def test_what_a_killed_evictor_left_is_removed(tmp_path):
    stores = fill(tmp_path)
    stores[0].rename(tmp_path / ".removed-0123456789abcdef")
    assert evicted(tmp_path, 10**6) == ([], [])
    assert sorted(tmp_path.iterdir()) == stores[1:]


def test_where_there_are_no_locks_nothing_used_since_yesterday_goes(tmp_path, monkeypatch):
    stores = fill(tmp_path, ages=(2, 0.5, 0))
    monkeypatch.setattr(lock, "fcntl", None)
    open_store(stores[2])[0].close()
    removed, said = evicted(tmp_path, 0)
    assert removed == stores[:1]
    assert "the rest is in use" in said[-1]


@pytest.mark.parametrize("spoil", [
    lambda folder: (folder / "notes.txt").write_text("mine"),
    lambda folder: (folder / "weights.safetensors").write_text("mine"),
    lambda folder: (folder / "sub").mkdir(),
    lambda folder: [file.unlink() for file in folder.iterdir()],
    lambda folder: (shutil.move(folder, folder.parent.parent / "mine"),
                    folder.symlink_to(folder.parent.parent / "mine")),
], ids=["another file", "other weights", "a folder", "nothing", "a link"])  # fmt: skip
def test_a_folder_with_anything_that_is_not_ours_is_never_removed(spoil, tmp_path):
    root = tmp_path / "features"
    stores = fill(root)
    spoil(stores[0])
    assert evicted(root, 0)[0] == stores[1:]
    assert stores[0].is_dir()
    assert clear(root) == ([], [])
    assert stores[0].is_dir()


def test_stores_of_earlier_versions_had_no_lock_file_and_go_too(tmp_path):
    stores = fill(tmp_path)
    (stores[2] / ".lock").unlink()
    os.utime(stores[2], (0, 0))
    assert evicted(tmp_path, 250_000)[0] == stores[2:]


def test_clearing_removes_all_but_what_is_in_use(tmp_path):
    stores = fill(tmp_path)
    used, _ = open_store(stores[1])
    assert clear(tmp_path) == ([stores[0], stores[2]], [stores[1]])
    assert used.read("d", "x").shape == (25_000,)


# the cap


@pytest.mark.parametrize(("text", "expected"), [
    ("5GB", 5 * 10**9), ("500MB", 5 * 10**8), ("1.5 tb", 15 * 10**11), (" 10 kB ", 10_000), ("0GB", 0)])  # fmt: skip
def test_the_variable_sets_the_cap(text, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", text)
    assert cap_bytes(tmp_path) == expected


@pytest.mark.parametrize("text", ["5", "GB", "-5GB", "5 GiB", "lots", "5GBs", "٣GB", "1e3MB"])
def test_a_cap_that_is_no_size_is_refused_with_examples(text, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", text)
    with pytest.raises(SettingError, match=r"HEADSTART_CACHE_SIZE is .*500MB or 5GB"):
        cap_bytes(tmp_path)


@pytest.mark.parametrize(("free", "expected"), [(10**12, 20 * 10**9), (8 * 10**9, 2 * 10**9)])
def test_the_default_cap_is_20_gb_or_a_quarter_of_the_free_disk(free, expected, tmp_path, monkeypatch):
    monkeypatch.delenv("HEADSTART_CACHE_SIZE", raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2 * free, free, free))
    assert cap_bytes(tmp_path / "not" / "yet" / "there") == expected
