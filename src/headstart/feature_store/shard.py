"""Read one shard: a safetensors file with the records of some examples.

For every name the arrays lie one after another. Arrays of equal shape are one (N, ...) tensor; arrays that differ in
shape are a flat tensor beside an int64 table of their shapes, (N, axes). The index is checked when a shard is opened,
a record's values when `check` is called for it.
"""

from __future__ import annotations

import errno
import math
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.feature_store.index import Damaged, Index, read_index

_BLOCK_BYTES = 1 << 18


class Shard:
    """One file, mapped. Opening reads the index only.

    digests: of the examples, by position. names: of a record's arrays, sorted.
    Raises Damaged for a file that is not what `write_shard` made or holds another dtype, and OSError for one that
    cannot be read.
    """

    def __init__(self, file: Path, dtype: str) -> None:
        self.file = file
        with file.open("rb") as stream:
            self._status = os.fstat(stream.fileno())
            index = read_index(stream)
            if index.dtype != dtype:
                raise Damaged(f"it holds {index.dtype} instead of {dtype}")
            # as a plain array: slicing is several times as fast
            self._content = np.asarray(np.memmap(stream, dtype=np.uint8, mode="r"))
        self.digests = index.digests
        self.names = tuple(sorted(index.tensors))
        self._dtype = np.dtype(dtype)
        self._checksums = index.checksums
        self._shapes = index.shapes
        self._fixed = {name: shape[1:] for name, (shape, _) in index.tensors.items() if name not in index.shapes}
        self._starts = {name: _starts(index, name, self._dtype.itemsize) for name in self.names}
        self._unchecked = bytearray(b"\1" * len(self.digests))

    def read(self, name: str, position: int) -> NDArray[Any]:
        """One record's array as a read-only view of the file. Raises KeyError for an unknown name."""
        starts = self._starts[name]
        shape = self._fixed[name] if name in self._fixed else self._shapes[name][position]
        return self._content[starts[position] : starts[position + 1]].view(self._dtype).reshape(shape)

    def is_unchecked(self, position: int) -> bool:
        """Whether `check` has not passed this record yet."""
        return bool(self._unchecked[position])

    def trust(self) -> None:
        """Spare the check: this process has just written the file."""
        self._unchecked = bytearray(len(self.digests))

    def check(self, positions: Iterable[int]) -> None:
        """Compare these records' values with their checksums.

        The file is read, not the map: a disk that cannot deliver is then an error instead of the process's death, and
        checked pages do not stay in its memory.
        Raises Damaged where they differ, and FileNotFoundError where the file is gone or another lies in its place.
        """
        buffer = memoryview(bytearray(_BLOCK_BYTES))
        with self.file.open("rb", buffering=0) as stream:
            if not self.is_at(os.fstat(stream.fileno())):
                raise FileNotFoundError(errno.ENOENT, "another file lies in its place", str(self.file))
            for position in positions:
                value = 0
                for name in self.names:
                    starts = self._starts[name]
                    value = _checksum_of(stream, int(starts[position]), int(starts[position + 1]), buffer, value)
                if value != self._checksums[position]:
                    raise Damaged("checksum differs")
                self._unchecked[position] = 0

    def is_at(self, status: os.stat_result) -> bool:
        """Whether this is the status of the file that was opened, and not of one that took its place."""
        return os.path.samestat(status, self._status)


def _starts(index: Index, name: str, itemsize: int) -> NDArray[np.int64]:
    """Where each record's array begins in the file, and where the last one ends: (N + 1,) bytes."""
    shape, begin = index.tensors[name]
    if name in index.shapes:
        sizes = index.shapes[name].prod(1)
    else:
        sizes = np.full(len(index.digests), math.prod(shape[1:]), dtype=np.int64)
    return begin + itemsize * np.concatenate([[0], np.cumsum(sizes)])


def _checksum_of(stream: Any, begin: int, end: int, buffer: memoryview, value: int) -> int:
    """CRC-32 of these bytes of the file, going on from value."""
    stream.seek(begin)
    while begin < end:
        count = stream.readinto(buffer[: min(len(buffer), end - begin)])
        if not count:
            raise Damaged("file is truncated")
        value = zlib.crc32(buffer[:count], value)
        begin += count
    return value
