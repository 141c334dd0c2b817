"""The head of a shard: a safetensors header and int64 tables, under one checksum.

The tables are the checksum of each record and, where arrays differ in shape, their shapes. They come first among the
tensors, so that opening a shard reads one stretch of the file.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

FORMAT = "headstart-features-2"
DTYPES = {"float32": "F32", "float16": "F16"}
CHECKSUMS = ":crc32"
SHAPES = ":shapes:"
_FORMATS = "headstart-features-"
_MAX_HEADER_BYTES = 1 << 28


class Damaged(Exception):
    """A file is not what `write_shard` made, and why."""


class OtherFormat(Damaged):
    """A file of another version of this format."""


@dataclass(frozen=True)
class Index:
    """What lies where in a shard.

    digests: of the examples, by position. checksums: of each record, (N,). shapes: tables (N, axes) of the names whose
    arrays differ in shape. tensors: of each name its shape in the file and the byte where it begins.
    """

    dtype: str
    digests: list[str]
    checksums: NDArray[np.int64]
    shapes: dict[str, NDArray[np.int64]]
    tensors: dict[str, tuple[tuple[int, ...], int]]


def make_index(
    digests: Sequence[str],
    tables: Mapping[str, NDArray[np.int64]],
    tensors: Mapping[str, tuple[int, ...]],
    dtype: str,
) -> bytes:
    """Everything that comes before the values: length, header and tables."""
    header: dict[str, Any] = {}
    offset = 0
    parts = [(name, "I64", table.shape, 8) for name, table in tables.items()]
    parts += [(name, DTYPES[dtype], shape, np.dtype(dtype).itemsize) for name, shape in tensors.items()]
    for name, code, shape, itemsize in parts:
        end = offset + itemsize * math.prod(shape)
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    metadata = {"format": FORMAT, "dtype": dtype, "digests": json.dumps(list(digests))}
    content = b"".join(table.tobytes() for table in tables.values())
    metadata["crc32"] = _checksum(header, metadata, content)
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers behind it are aligned
    return len(text).to_bytes(8, "little") + text + content


def read_index(stream: BinaryIO) -> Index:
    """Read and check the index; nothing of the values is read.

    Raises OtherFormat for another version's file, Damaged for anything else that `make_index` would not write.
    """
    try:
        size = int.from_bytes(stream.read(8), "little")
        if not 0 < size <= _MAX_HEADER_BYTES:
            raise Damaged("header is damaged")
        header = json.loads(stream.read(size))
        metadata = header.pop("__metadata__")
        if metadata["format"] != FORMAT:
            known = metadata["format"].startswith(_FORMATS)
            raise OtherFormat("format is another version's") if known else Damaged("format is unknown")
        return _read_tables(stream, 8 + size, header, metadata)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged("header is damaged") from error


def _read_tables(stream: BinaryIO, begin: int, header: dict[str, Any], metadata: dict[str, str]) -> Index:
    if os.fstat(stream.fileno()).st_size != begin + max(entry["data_offsets"][1] for entry in header.values()):
        raise Damaged("file is truncated")
    names = [name for name, entry in header.items() if entry["dtype"] == "I64"]
    content = stream.read(sum(header[name]["data_offsets"][1] - header[name]["data_offsets"][0] for name in names))
    if metadata.pop("crc32") != _checksum(header, metadata, content):
        raise Damaged("checksum differs")
    tables = {}
    for name in names:
        first, last = header[name]["data_offsets"]
        tables[name] = np.frombuffer(content[first:last], dtype=np.int64).reshape(header[name]["shape"])
    return Index(
        metadata["dtype"],
        json.loads(metadata["digests"]),
        tables[CHECKSUMS],
        {name.removeprefix(SHAPES): table for name, table in tables.items() if name != CHECKSUMS},
        {n: (tuple(e["shape"]), begin + e["data_offsets"][0]) for n, e in header.items() if n not in tables},
    )


def _checksum(header: Mapping[str, Any], metadata: Mapping[str, str], content: bytes) -> str:
    return str(zlib.crc32(content, zlib.crc32(json.dumps([header, metadata], sort_keys=True).encode())))
