"""The feature cache: what is written comes back, what is damaged is said and made again, nothing is half there."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from headstart import feature_store
from headstart.errors import MachineError
from headstart.feature_store import FeatureStore, Record, stack

RAGGED = frozenset({"states"})


def records(count: int, start: int = 0) -> dict[str, Record]:
    rng = np.random.default_rng(7)
    made = {}
    for i in range(start, start + count):
        made[f"digest{i}"] = {
            "pooled": np.full(5, i, np.float32),
            "states": rng.normal(size=(i % 4, 3)).astype(np.float32),
        }
    return made


def open_store(folder: Path) -> tuple[FeatureStore, list[str]]:
    said: list[str] = []
    return FeatureStore(folder, RAGGED, said.append), said


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    open_store(tmp_path)[0].write(records(6))
    return next(tmp_path.glob("*.safetensors"))


def test_fixed_and_ragged_arrays_come_back(tmp_path):
    written = records(6)
    store, _ = open_store(tmp_path)
    store.write(written)
    for opened in (store, open_store(tmp_path)[0]):
        for digest, record in written.items():
            assert digest in opened
            for name, array in record.items():
                np.testing.assert_array_equal(opened.read(digest, name), array)
        np.testing.assert_array_equal(stack(opened, ["digest5", "digest1"], "pooled")[:, 0], [5, 1])
    assert "digest9" not in store


def test_all_records_may_be_empty(tmp_path):
    store, _ = open_store(tmp_path)
    store.write({"a": {"states": np.zeros((0, 3), np.float32)}})
    assert open_store(tmp_path)[0].read("a", "states").shape == (0, 3)
    store.write({})


def test_reading_is_mapped_and_cannot_change_the_file(filled):
    store, _ = open_store(filled.parent)
    array = store.read("digest3", "states")
    base = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def damage_a_byte(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def other_version(content: bytes) -> bytes:
    return content.replace(feature_store.FORMAT.encode(), b"headstart-features-0")


def other_header(header: object) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "spoil",
    [
        damage_a_byte,
        other_version,
        lambda content: content[:-40],
        lambda content: content[:5],
        lambda content: b"",
        lambda content: b"\xff" * 200,
        lambda content: (10).to_bytes(8, "little") + b"not json at all",
        lambda content: other_header([1, 2]),
        lambda content: other_header({"__metadata__": []}),
        lambda content: other_header({"__metadata__": {"format": feature_store.FORMAT}}),
        lambda content: other_header({"__metadata__": {"format": feature_store.FORMAT, "digests": "3", "crc32": "0"}}),
        lambda content: content.replace(b'digest2', b'","dig.'),
    ],
)  # fmt: skip
def test_a_damaged_shard_is_removed_said_and_made_again(filled, spoil):
    filled.write_bytes(spoil(filled.read_bytes()))
    store, said = open_store(filled.parent)
    assert len(said) == 1
    assert "removed and will be computed again" in said[0]
    assert not filled.exists()
    assert "digest0" not in store
    store.write(records(6))
    again, said = open_store(filled.parent)
    assert "digest0" in again
    assert not said


def test_the_other_shards_are_kept(filled):
    open_store(filled.parent)[0].write(records(3, start=50))
    filled.write_bytes(damage_a_byte(filled.read_bytes()))
    store, _ = open_store(filled.parent)
    assert "digest51" in store
    assert "digest1" not in store


def test_what_a_killed_process_left_is_no_shard_and_goes_after_a_day(tmp_path):
    young, old = tmp_path / "young.part", tmp_path / "old.part"
    for file in (young, old):
        file.write_bytes(b"half a shard")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    store, said = open_store(tmp_path)
    assert "digest0" not in store
    assert not said
    assert (young.exists(), old.exists()) == (True, False)


@pytest.mark.parametrize("call", ["fsync", "replace", "mkstemp"])
def test_a_full_disk_is_an_error_with_a_fix_and_leaves_nothing(tmp_path, monkeypatch, call):
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owner = {"fsync": os, "replace": Path, "mkstemp": feature_store.tempfile}[call]
    monkeypatch.setattr(owner, call, full)
    store, _ = open_store(tmp_path)
    with pytest.raises(MachineError, match=r"No space left on device.*HEADSTART_CACHE"):
        store.write(records(2))
    assert list(tmp_path.iterdir()) == []
    assert "digest0" not in store


def test_a_folder_that_cannot_be_made_is_an_error_with_a_fix(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="HEADSTART_CACHE"):
        open_store(tmp_path / "file" / "store")


def test_two_sets_that_begin_with_the_same_example_do_not_overwrite_each_other(tmp_path):
    store, _ = open_store(tmp_path)
    one, other = records(3), {"digest0": records(1)["digest0"], **records(2, start=10)}
    store.write(one)
    store.write(other)
    again, _ = open_store(tmp_path)
    assert all(digest in again for digest in (*one, *other))


def _write_repeatedly(folder: str, start: int, failures: multiprocessing.SimpleQueue) -> None:
    try:
        for _ in range(20):
            store, said = open_store(Path(folder))
            store.write(records(4))
            store.write(records(4, start))
            assert not said
            assert store.read(f"digest{start}", "pooled")[0] == start
    except BaseException as error:  # the parent shows it
        failures.put(repr(error))
        raise


def test_two_processes_may_write_the_same_records_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    failures = context.SimpleQueue()
    workers = [context.Process(target=_write_repeatedly, args=(str(tmp_path), s, failures)) for s in (10, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures.empty() or pytest.fail(failures.get())
    assert [w.exitcode for w in workers] == [0, 0]
    store, said = open_store(tmp_path)
    assert not said
    assert all(digest in store for digest in ("digest0", "digest13", "digest23"))
    assert not list(tmp_path.glob("*.part"))
