"""A store: what is written comes back; what is damaged is said, removed and missing; nothing is half there."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from feature_store.made_records import open_store, records, same
from headstart.errors import MachineError
from headstart.feature_store import FeatureStore, files, index, stack


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The one shard of a store of six records."""
    open_store(tmp_path)[0].write(records(6))
    (shard,) = tmp_path.glob("*.safetensors")
    return shard


# what comes back


def test_arrays_come_back_with_their_own_shapes(tmp_path):
    store, _ = open_store(tmp_path)
    assert (len(store), store.names) == (0, ())
    store.write(records(6))
    for opened in (store, open_store(tmp_path)[0]):
        assert same(opened, records(6))
        assert len(opened) == 6
        assert opened.names == ("attention", "pooled", "tokens")
        assert opened.read("digest3", "attention").shape == (2, 3, 3)
        np.testing.assert_array_equal(stack(opened, ["digest5", "digest1"], "pooled")[:, 0], [5, 1])
        assert "digest9" not in opened
        with pytest.raises(KeyError):
            opened.read("digest9", "pooled")
        with pytest.raises(KeyError):
            opened.read("digest1", "states")


@pytest.mark.parametrize("shapes", [[(0, 3)], [(0, 3), (0, 3)], [(0, 3), (2, 3)], [()], [(), ()], [(2, 0), (2, 0)]])
def test_empty_arrays_and_single_numbers_keep_their_shape(shapes, tmp_path):
    written = {f"d{i}": {"x": np.full(shape, i, np.float32)} for i, shape in enumerate(shapes)}
    open_store(tmp_path)[0].write(written)
    assert same(open_store(tmp_path)[0], written)


def test_nothing_to_write_writes_nothing(tmp_path):
    open_store(tmp_path)[0].write({})
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_view_that_is_not_contiguous_is_stored_as_it_reads(tmp_path):
    turned = np.arange(12, dtype=np.float32).reshape(3, 4).T
    open_store(tmp_path)[0].write({"d": {"x": turned}})
    np.testing.assert_array_equal(open_store(tmp_path)[0].read("d", "x"), turned)


def test_reading_is_mapped_and_cannot_change_the_file(filled):
    store, _ = open_store(filled.parent)
    array = store.read("digest3", "tokens")
    base: Any = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_the_files_are_plain_safetensors(filled):
    content = load_file(filled)
    np.testing.assert_array_equal(content["pooled"][:, 0], range(6))
    assert content[":shapes:tokens"].tolist() == [[i % 4, 3] for i in range(6)]
    np.testing.assert_array_equal(content["tokens"][:3], records(2, 1)["digest1"]["tokens"].ravel())


def test_a_second_writing_adds(tmp_path):
    store, _ = open_store(tmp_path)
    store.write(records(3))
    store.write(records(2, start=3))
    assert same(open_store(tmp_path)[0], records(5))


def test_two_sets_that_begin_with_the_same_example_do_not_overwrite_each_other(tmp_path):
    store, _ = open_store(tmp_path)
    store.write(records(3))
    store.write({**records(1), **records(2, start=10)})
    assert same(open_store(tmp_path)[0], {**records(3), **records(2, start=10)})


def test_names_are_those_that_every_record_has(tmp_path):
    store, _ = open_store(tmp_path)
    store.write(records(2))
    store.write({"d": {"pooled": np.zeros(5, np.float32)}})
    assert store.names == ("pooled",)


@pytest.mark.parametrize(("second", "told"), [
    ({"y": np.zeros(2)}, r"names \['y'\]"),
    ({"x": np.zeros((2, 2))}, "number of axes"),
])  # fmt: skip
def test_records_that_do_not_go_together_are_refused_whole(second, told, tmp_path):
    store, _ = open_store(tmp_path)
    with pytest.raises(ValueError, match=told):
        store.write({"a": {"x": np.zeros(2)}, "b": second})
    assert len(store) == 0
    assert not list(tmp_path.glob("*.safetensors"))


# half precision


def test_half_precision_is_stored_and_read_as_such(tmp_path):
    store, _ = open_store(tmp_path, dtype="float16")
    store.write({"d": {"x": np.array([1 / 3, 65504], np.float32)}})
    read = open_store(tmp_path, dtype="float16")[0].read("d", "x")
    assert read.dtype == np.float16
    assert read.tolist() == [float(np.float16(1 / 3)), 65504]
    assert stack(store, ["d"], "x").dtype == np.float32


def test_a_value_too_large_for_half_precision_is_an_error_and_not_infinity(tmp_path):
    store, _ = open_store(tmp_path, dtype="float16")
    with pytest.raises(OverflowError, match="too large for float16"):
        store.write({"d": {"x": np.array([70_000], np.float32)}})
    store.write({"d": {"x": np.array([np.inf], np.float32)}})  # it was infinite already
    assert store.read("d", "x") == [np.inf]


def test_another_precision_than_the_store_has_is_refused(filled):
    store, said = open_store(filled.parent, dtype="float16")
    assert len(store) == 0
    assert said == ["A damaged cache file was removed and will be computed again "
                    "(it holds float32 instead of float16)."]  # fmt: skip
    assert not filled.exists()


def test_a_precision_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="float32, float16"):
        open_store(tmp_path, dtype="float64")


# damage


def flip(position: int) -> Callable[[bytes], bytes]:
    def spoil(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[position] ^= 1
        return bytes(changed)

    return spoil


def same_size(change: bytes) -> Callable[[bytes], bytes]:
    return lambda content: change + content[len(change) :]


INDEX_DAMAGE = {
    "length": flip(1),
    "header": flip(40),
    "a digest": lambda content: content.replace(b"digest2", b"digest9"),
    "digests": lambda content: content.replace(b"digest2", b'","dig.'),
    "a shape": lambda content: content.replace(b"[6, 5]", b"[5, 6]"),
    "a dtype": lambda content: content.replace(b'"F32"', b'"F16"', 1),
    "a table": lambda content: content.replace((3).to_bytes(8, "little") * 2, (9).to_bytes(8, "little") * 2),
    "cut short": lambda content: content[:-40],
    "cut to the header": lambda content: content[:500],
    "five bytes": lambda content: content[:5],
    "empty": lambda content: b"",
    "ones": lambda content: b"\xff" * 200,
    "zeros": lambda content: b"\0" * len(content),
    "bytes added": lambda content: content + b"more",
    "no JSON": lambda content: (10).to_bytes(8, "little") + b"not json at all",
    "a list": lambda content: (6).to_bytes(8, "little") + b"[1, 2]",
    "nothing known": lambda content: (23).to_bytes(8, "little") + b'{"__metadata__": [1,2]}',
    "other tensors": lambda content: (2).to_bytes(8, "little") + b"{}",
    "another's format": lambda content: content.replace(b"headstart-features-", b"something-else-xxxx"),
}
VALUE_DAMAGE = {"last byte": flip(-1), "middle": flip(-300), "lost page": lambda content: content[:-64] + b"\0" * 64}


@pytest.mark.parametrize("spoil", INDEX_DAMAGE.values(), ids=INDEX_DAMAGE)
def test_a_damaged_index_is_found_when_the_store_is_opened(filled, spoil):
    whole = filled.read_bytes()
    assert spoil(whole) != whole
    filled.write_bytes(spoil(whole))
    store, said = open_store(filled.parent)
    assert len(store) == 0
    assert len(said) == 1
    assert "A damaged cache file was removed and will be computed again" in said[0]
    assert not filled.exists()
    assert_works_again(store)


@pytest.mark.parametrize("spoil", VALUE_DAMAGE.values(), ids=VALUE_DAMAGE)
def test_damaged_values_are_found_by_verifying(filled, spoil):
    whole = filled.read_bytes()
    assert spoil(whole) != whole
    filled.write_bytes(spoil(whole))
    store, said = open_store(filled.parent)
    assert store.verify(["digest9", *records(6)]) == ["digest9", *records(6)]
    assert said == ["A damaged cache file was removed and will be computed again (checksum differs)."]
    assert len(store) == 0
    assert not filled.exists()
    assert_works_again(store)


def assert_works_again(store: FeatureStore) -> None:
    store.write(records(6))
    again, said = open_store(store.folder)
    assert again.verify(list(records(6))) == []
    assert same(again, records(6))
    assert said == []


def test_verifying_whole_records_finds_nothing_missing(filled):
    store, said = open_store(filled.parent)
    assert store.verify([*records(6), "digest77"]) == ["digest77"]
    assert said == []


def test_only_the_records_asked_for_are_checked(filled):
    filled.write_bytes(flip(-1)(filled.read_bytes()))  # tokens come last, digest5's at the very end
    store, said = open_store(filled.parent)
    assert store.verify(["digest1", "digest2"]) == []
    assert said == []
    assert store.verify(["digest5", "digest1"]) == ["digest5", "digest1"]


def test_reading_what_was_not_verified_never_gives_damaged_values(filled):
    filled.write_bytes(flip(-1)(filled.read_bytes()))
    store, said = open_store(filled.parent)
    with pytest.raises(MachineError, match=r"damaged and had to be removed\. Run again"):
        store.read("digest5", "pooled")
    assert len(said) == 1
    assert "digest5" not in store


def test_the_other_shards_are_kept(filled):
    open_store(filled.parent)[0].write(records(3, start=50))
    filled.write_bytes(flip(-1)(filled.read_bytes()))
    store, _ = open_store(filled.parent)
    assert store.verify(["digest5", "digest51"]) == ["digest5"]
    assert same(store, records(3, start=50))


def test_an_example_of_a_damaged_shard_is_taken_from_another_that_has_it(filled):
    open_store(filled.parent)[0].write(records(2, start=4))  # digest5 comes last in both
    removed = 0
    for shard in sorted(filled.parent.glob("*.safetensors")):
        whole = shard.read_bytes()
        shard.write_bytes(flip(-1)(whole))
        store, said = open_store(filled.parent)
        assert store.verify(["digest5", "digest4"]) == []
        assert same(store, records(2, start=4))
        removed += len(said)
        shard.write_bytes(whole)
    assert removed == 1  # the one that the store took it from first


def test_several_faults_are_one_sentence(tmp_path):
    store, _ = open_store(tmp_path)
    for start in (0, 10, 20):
        store.write(records(2, start))
    for shard, spoil in zip(sorted(tmp_path.glob("*.safetensors")), (flip(1), flip(1), lambda c: c[:-1])):
        shard.write_bytes(spoil(shard.read_bytes()))
    _, said = open_store(tmp_path)
    assert len(said) == 1
    assert said[0].startswith("3 damaged cache files were removed and will be computed again (")


def test_files_of_another_version_are_removed_and_said_once(tmp_path):
    store, _ = open_store(tmp_path)
    for start in (0, 10):
        store.write(records(2, start))
    for shard in tmp_path.glob("*.safetensors"):
        shard.write_bytes(shard.read_bytes().replace(index.FORMAT.encode(), b"headstart-features-1"))
    store, said = open_store(tmp_path)
    assert len(store) == 0
    assert said == ["Cached features in the format of another version were removed and will be computed again "
                    "(2 files)."]  # fmt: skip
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_file_that_is_only_out_of_reach_is_not_removed(filled, monkeypatch):
    refuse(monkeypatch, filled, PermissionError(errno.EACCES, "Permission denied"))
    store, said = open_store(filled.parent)
    assert len(store) == 0
    assert said == [f"The cache file {filled} cannot be read and is passed over (Permission denied)."]
    assert filled.exists()


def test_a_file_that_the_disk_cannot_read_is_damaged(filled, monkeypatch):
    refuse(monkeypatch, filled, OSError(errno.EIO, "Input/output error"))
    _, said = open_store(filled.parent)
    assert "removed" in said[0]
    assert not filled.exists()


def refuse(patch: pytest.MonkeyPatch, file: Path, error: OSError) -> None:
    opened = Path.open

    def open_or_fail(self: Path, *args: Any, **options: Any) -> Any:
        if self == file:
            raise error
        return opened(self, *args, **options)

    patch.setattr(Path, "open", open_or_fail)


def test_what_a_killed_process_left_is_no_shard_and_goes_after_a_day(tmp_path):
    young, old = tmp_path / "young.part", tmp_path / "old.part"
    for file in (young, old):
        file.write_bytes(b"half a shard")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    store, said = open_store(tmp_path)
    assert len(store) == 0
    assert said == []
    assert (young.exists(), old.exists()) == (True, False)


# disks


@pytest.mark.parametrize("call", ["fsync", "replace", "mkstemp"])
def test_a_full_disk_is_an_error_with_a_fix_and_leaves_nothing(tmp_path, monkeypatch, call):
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store, _ = open_store(tmp_path)
    monkeypatch.setattr({"fsync": os, "replace": Path, "mkstemp": files.tempfile}[call], call, full)
    with pytest.raises(MachineError, match=r"No space left on device.*HEADSTART_CACHE"):
        store.write(records(2))
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]
    assert "digest0" not in store


def test_a_stop_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def stop(handle: int) -> None:
        raise KeyboardInterrupt

    store, _ = open_store(tmp_path)
    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        store.write(records(2))
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("mounting a small file system takes privileges that this process lacks")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True, timeout=20)


def test_a_disk_that_is_really_full_keeps_what_was_there(small_disk):
    store, _ = open_store(small_disk / "store")
    store.write(records(4))
    with pytest.raises(MachineError, match=r"No space left on device.*HEADSTART_CACHE"):
        store.write({"large": {"x": np.zeros(1 << 20, np.float32)}})
    assert not list(store.folder.glob("*.part"))
    again, said = open_store(store.folder)
    assert same(again, records(4))
    assert said == []
    assert "large" not in again


def test_a_disk_that_is_really_read_only_can_be_read(small_disk):
    store = open_store(small_disk / "store", about={"model": "m"})[0]
    store.write(records(4))
    (shard,) = store.folder.glob("*.safetensors")
    open_store(store.folder)[0].write(records(2, start=8))
    shard.write_bytes(flip(-1)(shard.read_bytes()))
    store.close()
    del store
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=20)
    store, said = open_store(small_disk / "store", about={"model": "m"})
    assert same(store, records(2, start=8))
    assert store.verify(["digest3"]) == ["digest3"]
    assert len(said) == 1
    assert "cannot be removed (Read-only file system)" in said[0]
    with pytest.raises(MachineError, match=r"Read-only file system.*HEADSTART_CACHE"):
        store.write(records(4))
    with pytest.raises(MachineError, match=r"cannot be made: Read-only file system.*HEADSTART_CACHE"):
        open_store(small_disk / "another")


def test_a_folder_that_nobody_may_write_to_can_be_read(filled, monkeypatch):
    """As on a shared cache: the lock file is not ours, or not there at all."""
    opened = os.open

    def refuse_writing(file: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY) and str(file).startswith(str(filled.parent)):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(file, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse_writing)
    assert same(open_store(filled.parent)[0], records(6))
    (filled.parent / ".lock").unlink()
    store, said = open_store(filled.parent, about={"model": "m"})
    assert same(store, records(6))
    assert said == []
    with pytest.raises(MachineError, match=r"Permission denied.*HEADSTART_CACHE"):
        store.write(records(2))


def test_a_folder_that_cannot_be_made_is_an_error_with_a_fix(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="HEADSTART_CACHE"):
        open_store(tmp_path / "file" / "store")


def test_a_store_whose_folder_the_user_deleted_can_still_be_read_and_written(filled):
    store, said = open_store(filled.parent)
    assert store.verify(["digest1"]) == []
    for file in filled.parent.iterdir():
        file.unlink()
    filled.parent.rmdir()
    assert same(store, records(1, start=1))  # verified before: the map outlives the name
    assert store.verify(["digest2"]) == ["digest2"]
    assert said == []
    store.write(records(6))
    assert same(open_store(filled.parent)[0], records(6))


def test_opening_reads_the_index_only(tmp_path, monkeypatch):
    store, _ = open_store(tmp_path)
    store.write({f"d{i}": {"x": np.zeros(250_000, np.float32)} for i in range(20)})
    read: list[int] = []
    opened = Path.open

    def counting(self: Path, *args: Any, **options: Any) -> Any:
        stream = opened(self, *args, **{**options, "buffering": 0})
        plain = stream.read

        class Counted:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> None:
                stream.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

            def read(self, size: int) -> bytes:
                content: bytes = plain(size)
                read.append(len(content))
                return content

        return Counted()

    monkeypatch.setattr(Path, "open", counting)
    assert len(open_store(tmp_path)[0]) == 20
    assert 0 < sum(read) < 5_000  # of 20 MB
