"""Write records as one shard."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.feature_store.files import write_atomically
from headstart.feature_store.index import CHECKSUMS, SHAPES, make_index

Record = dict[str, NDArray[Any]]


def shard_path(folder: Path, digests: Sequence[str]) -> Path:
    """Named by all its digests: two processes with different examples never overwrite each other's file."""
    name = hashlib.blake2b(json.dumps(list(digests)).encode(), digest_size=16).hexdigest()
    return folder / f"{name}-{len(digests)}.safetensors"


def write_shard(file: Path, records: Mapping[str, Mapping[str, NDArray[Any]]], dtype: str) -> None:
    """Write records by digest into a file that appears whole or not at all.

    Raises ValueError where records have different names or numbers of axes, OverflowError where a value does not fit
    the dtype, and OSError where the disk does not take the file.
    """
    values = _values(records, dtype)
    checksums = [_checksum(arrays[i] for arrays in values.values()) for i in range(len(records))]
    tables = {CHECKSUMS: np.array(checksums, dtype=np.int64)}
    tensors: dict[str, tuple[int, ...]] = {}
    for name, arrays in values.items():
        if len({a.shape for a in arrays}) == 1:
            tensors[name] = (len(arrays), *arrays[0].shape)
            continue
        if len({a.ndim for a in arrays}) > 1:
            raise ValueError(f"The arrays {name!r} differ in their number of axes.")
        tables[SHAPES + name] = np.array([a.shape for a in arrays], dtype=np.int64)
        tensors[name] = (sum(a.size for a in arrays),)
    write_atomically(file, _parts(make_index(list(records), tables, tensors, dtype), values))


def _values(records: Mapping[str, Mapping[str, NDArray[Any]]], dtype: str) -> dict[str, list[NDArray[Any]]]:
    """The arrays of each name, in the dtype to store; names sorted, as readers take them."""
    names = sorted(next(iter(records.values())))
    for record in records.values():
        if sorted(record) != names or any(name.startswith(":") for name in names):
            raise ValueError(f"A record has the names {sorted(record)}, the first one {names}; none begins with ':'.")
    try:
        with np.errstate(over="raise"):
            return {n: [np.asarray(r[n], dtype=dtype, order="C") for r in records.values()] for n in names}
    except FloatingPointError as error:
        raise OverflowError(f"A value is too large for {dtype}. Keep these features as float32.") from error


def _parts(index: bytes, values: Mapping[str, list[NDArray[Any]]]) -> Iterator[bytes | memoryview]:
    """The file's content, array by array: no second copy of the records is made."""
    yield index
    for arrays in values.values():
        yield from map(_bytes, arrays)


def _checksum(arrays: Iterable[NDArray[Any]]) -> int:
    value = 0
    for array in arrays:
        value = zlib.crc32(_bytes(array), value)
    return value


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
