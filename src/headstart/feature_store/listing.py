"""What the feature cache holds, store by store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headstart.feature_store.about import read_about
from headstart.feature_store.evict import stores_in
from headstart.feature_store.files import SHARDS, folder_bytes
from headstart.feature_store.index import Damaged, read_index
from headstart.feature_store.lock import is_used, last_used


@dataclass(frozen=True)
class StoreInfo:
    """One store. about: plain words, empty where unknown. used: seconds since the epoch."""

    folder: Path
    examples: int
    bytes: int
    used: float
    in_use: bool
    about: dict[str, str] = field(default_factory=dict)


def list_stores(root: Path) -> list[StoreInfo]:
    """The stores in root, last used first. Files that cannot be read are passed over."""
    found = [
        StoreInfo(
            folder, len(set(_digests(folder))), folder_bytes(folder), last_used(folder), is_used(folder),
            read_about(folder))
        for folder in stores_in(root)
    ]  # fmt: skip
    return sorted(found, key=lambda store: -store.used)


def _digests(folder: Path) -> Iterator[str]:
    for file in folder.glob(SHARDS):
        with contextlib.suppress(OSError, Damaged), file.open("rb") as stream:
            yield from read_index(stream).digests
