"""The outcome of decoding one input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


class UnusableInput(Exception):
    """One input cannot be used; the row is quarantined and the rest go on.

    reason: a few words, the same for the same kind of fault, so that rows can be counted.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Checked:
    """What one decoding found.

    digest: hash of the content. near: equal for near duplicates. sketch: float32 bytes of a picture's coarse
    brightness, to be compared by distance (empty where there is none). notes: what was unusual but usable. size: of a
    picture, width and height in pixels.
    """

    digest: str
    near: str
    notes: tuple[str, ...] = ()
    sketch: bytes = b""
    size: tuple[int, int] = (0, 0)


def content_digest(content: bytes) -> str:
    """Hash of raw content, 32 hex digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def existing_file(path: str) -> Path:
    """The path, if a file with content lies there.

    Raises UnusableInput for a missing, empty or impossible path.
    """
    if path.startswith(("http://", "https://")):
        raise UnusableInput("web address, not a file", f"download {path[:200]} and name the file")
    file = Path(path)
    try:
        found, size = file.is_file(), file.stat().st_size if file.is_file() else 0
    except OSError as error:  # a name longer than the system allows, a folder that may not be entered
        raise UnusableInput("file not found", f"{path[:200]} ({error.strerror})") from error
    if not found:
        raise UnusableInput("file not found", path[:500])
    if size == 0:
        raise UnusableInput("empty file", path[:500])
    return file
