"""Keep the cache within its size: the least recently used stores go first, and never one that is in use."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from headstart.errors import SettingError
from headstart.feature_store.files import folder_bytes, is_store
from headstart.feature_store.lock import claim, last_used

DEFAULT_BYTES = 20_000_000_000
UNLOCKED_SECONDS = 24 * 3600.0  # without locks, a store opened since then may be in use
VARIABLE = "HEADSTART_CACHE_SIZE"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_REMOVED = ".removed-"


def cap_bytes(root: Path) -> int:
    """How large the feature cache may grow: $HEADSTART_CACHE_SIZE, or 20 GB or a quarter of the free disk if smaller.

    Raises SettingError where the variable is not a size.
    """
    text = os.environ.get(VARIABLE)
    if text:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]B)\s*", text.upper(), re.ASCII)
        if match is None:
            raise SettingError(
                f"{VARIABLE} is {text!r}; write a number with KB, MB, GB or TB, for example 500MB or 5GB."
            )
        return int(float(match.group(1)) * _UNITS[match.group(2)])
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    return min(DEFAULT_BYTES, shutil.disk_usage(there).free // 4)


def evict(root: Path, cap_bytes: int, say: Callable[[str], None]) -> list[Path]:
    """Remove the stores in root that were used least recently until the rest fits the cap; returns what went.

    Stores in use stay, whatever their size; that they exceed the cap is said.
    """
    _remove_leftovers(root)
    stores = sorted(stores_in(root), key=last_used)
    sizes = {store: folder_bytes(store) for store in stores}
    total = sum(sizes.values())
    removed: list[Path] = []
    for store in stores:
        if total <= cap_bytes:
            break
        if remove_store(store):
            removed.append(store)
            total -= sizes[store]
    if removed:
        freed = sum(sizes[store] for store in removed)
        say(f"The feature cache had grown beyond its {cap_bytes / 1e9:.1f} GB ({VARIABLE}): removed {len(removed)} "
            f"stores not used lately, {freed / 1e9:.1f} GB.")  # fmt: skip
    if total > cap_bytes:
        say(f"The feature cache takes {total / 1e9:.1f} GB, more than its {cap_bytes / 1e9:.1f} GB ({VARIABLE}): "
            "the rest is in use.")  # fmt: skip
    return removed


def clear(root: Path) -> tuple[list[Path], list[Path]]:
    """Remove every store in root that is not in use; returns what went and what stayed."""
    _remove_leftovers(root)
    removed: list[Path] = []
    kept: list[Path] = []
    for store in sorted(stores_in(root)):
        (removed if remove_store(store) else kept).append(store)
    return removed, kept


def stores_in(root: Path) -> list[Path]:
    """The folders directly in root that hold a store and nothing else."""
    try:
        return [folder for folder in root.iterdir() if not folder.name.startswith(".") and is_store(folder)]
    except OSError:  # no cache yet
        return []


def remove_store(folder: Path) -> bool:
    """Remove a store in one step unless it is in use or cannot be removed; whether it went.

    A process that opens the store at the same time waits for the step and then makes it anew.
    """
    used = last_used(folder)
    try:
        handle = claim(folder)
    except OSError:
        return False
    try:
        if handle is None and time.time() - used < UNLOCKED_SECONDS:
            return False
        aside = folder.with_name(f"{_REMOVED}{secrets.token_hex(8)}")
        folder.rename(aside)
    except OSError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    shutil.rmtree(aside, ignore_errors=True)
    return True


def _remove_leftovers(root: Path) -> None:
    """Finish what a killed process began: a store set aside is nobody's."""
    with contextlib.suppress(OSError):
        for folder in root.glob(f"{_REMOVED}*"):
            shutil.rmtree(folder, ignore_errors=True)
