"""Feature cache on disk: shards of named arrays, keyed by content, atomic, rebuilt when damaged.

A store is a folder named by its key (weights, cut, engine, preprocessing, view). A shard is a safetensors file with
the records of some examples: one array per name, ragged ones flattened beside their lengths. A shard appears whole or
not at all (temporary file, then rename), carries a checksum, and is deleted and computed again if that fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from headstart.errors import MachineError

Record = dict[str, NDArray[np.float32]]
FORMAT = "headstart-features-1"
LEFTOVER_SECONDS = 24 * 3600.0
_LENGTHS = ".lengths"
_DTYPES = {"F32": np.float32, "I64": np.int64}


class FeatureStore:
    """Records of examples under one key. Reading is memory-mapped; nothing is held in memory."""

    def __init__(self, folder: Path, ragged: frozenset[str], say: Callable[[str], None]) -> None:
        self.folder = folder
        self.ragged = ragged
        self._where: dict[str, tuple[_Shard, int]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(
                f"The cache folder {folder} cannot be made: {error.strerror}. Set HEADSTART_CACHE to a writable folder."
            ) from error
        _remove_leftovers(folder)
        for file in sorted(folder.glob("*.safetensors")):
            self._add(file, say)

    def _add(self, file: Path, say: Callable[[str], None]) -> None:
        try:
            shard = _Shard(file, self.ragged)
        except FileNotFoundError:  # another process found it damaged first
            return
        except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
            say(f"A damaged cache file was removed and will be computed again ({error}).")
            with contextlib.suppress(OSError):
                file.unlink()
            return
        for position, digest in enumerate(shard.digests):
            self._where[digest] = (shard, position)

    def __contains__(self, digest: str) -> bool:
        return digest in self._where

    def read(self, digest: str, name: str) -> NDArray[np.float32]:
        """One example's array, as a read-only view of the file."""
        shard, position = self._where[digest]
        return shard.read(name, position)

    def write(self, records: Mapping[str, Record]) -> None:
        """Store records by example digest, all or none.

        Raises MachineError when the disk is full or not writable.
        """
        if not records:
            return
        digests = list(records)
        arrays: dict[str, NDArray[np.generic]] = {}
        for name in next(iter(records.values())):
            values = [np.asarray(records[d][name], dtype=np.float32) for d in digests]
            if name in self.ragged:
                arrays[name] = np.concatenate(values)
                arrays[name + _LENGTHS] = np.array([len(v) for v in values], dtype=np.int64)
            else:
                arrays[name] = np.stack(values)
        metadata = {"format": FORMAT, "digests": json.dumps(digests), "crc32": str(_checksum(arrays))}
        # named by all its digests: two processes with different examples never overwrite each other's file
        name = hashlib.blake2b(metadata["digests"].encode(), digest_size=16).hexdigest()
        target = self.folder / f"{name}-{len(digests)}.safetensors"
        _write_atomically(target, save(arrays, metadata=metadata))
        self._add(target, lambda message: None)
        if digests[0] not in self:
            raise MachineError(f"{target} reads back differently from what was written. Check the disk, or set "
                               "HEADSTART_CACHE to a folder on another.")  # fmt: skip


class _Shard:
    """One file's arrays, mapped.

    Raises ValueError, KeyError or TypeError for a file that is not what `write` made.
    """

    def __init__(self, file: Path, ragged: frozenset[str]) -> None:
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if not 0 < size <= 1 << 26:
                raise ValueError("header is damaged")
            header = json.loads(stream.read(size))
        metadata = header.pop("__metadata__", {})
        if metadata.get("format") != FORMAT:
            raise ValueError("format is unknown")
        self.digests: list[str] = json.loads(metadata["digests"])
        self.arrays = _map_arrays(file, 8 + size, header)
        if str(_checksum(self.arrays)) != metadata.get("crc32"):
            raise ValueError("checksum differs")
        self.starts = {name: np.concatenate([[0], np.cumsum(self.arrays[name + _LENGTHS])]) for name in ragged
                       if name in self.arrays}  # fmt: skip
        rows = {len(a) for name, a in self.arrays.items() if name not in self.starts}
        if rows != {len(self.digests)}:
            raise ValueError("names and arrays differ in number")

    def read(self, name: str, position: int) -> NDArray[np.float32]:
        array: NDArray[Any] = self.arrays[name]
        if name in self.starts:
            return array[self.starts[name][position] : self.starts[name][position + 1]]
        row: NDArray[np.float32] = array[position]
        return row


def _map_arrays(file: Path, offset: int, header: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Read-only views into the mapped file, by the offsets in its header."""
    content = np.memmap(file, dtype=np.uint8, mode="r", offset=offset) if header else np.empty(0, np.uint8)
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end <= len(content):
            raise ValueError("file is truncated")
        arrays[name] = content[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> int:
    value = 0
    for name in sorted(arrays):
        content = np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8)
        value = zlib.crc32(content.data, zlib.crc32(name.encode(), value))
    return value


def _write_atomically(target: Path, content: bytes) -> None:
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise MachineError(
            f"The feature cache cannot be written: {error.strerror}. Free some disk space, or set "
            "HEADSTART_CACHE to a folder with more room."
        ) from error


def _remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left half-written; younger files may still be being written."""
    for file in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > LEFTOVER_SECONDS:
                file.unlink()


def stack(store: FeatureStore, digests: Sequence[str], name: str) -> NDArray[np.float32]:
    """Fixed-size arrays of many examples as one (N, ...) array in memory."""
    return np.stack([np.asarray(store.read(d, name)) for d in digests])
