"""Write the cache's files whole or not at all; tell them from files that are not ours."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

SHARDS = "*.safetensors"
ABOUT = "about.json"
LOCK = ".lock"
LEFTOVER_SECONDS = 24 * 3600.0
_BUFFER_BYTES = 1 << 20
_OURS = re.compile(r"[0-9a-f]{32}-\d+\.safetensors|tmp\w+\.part|about\.json|\.lock")


def write_atomically(target: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Put parts one after another into target, which appears whole or not at all.

    Raises OSError as the system gives it, with nothing left behind.
    """
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb", buffering=_BUFFER_BYTES) as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())  # some file systems report a full disk only now
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left half-written; younger files may still be being written."""
    for file in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > LEFTOVER_SECONDS:
                file.unlink()


def is_store(folder: Path) -> bool:
    """Whether a folder holds our files and no others: only such folders are ever listed or removed."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return False
    return bool(names) and all(_OURS.fullmatch(name) for name in names)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total
