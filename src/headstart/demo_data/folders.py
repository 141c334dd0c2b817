"""Put a prepared folder in place in one step: complete or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headstart.errors import MachineError
from headstart.types import Reporter

MARKER = ".prepared.json"  # hidden, so that no loader takes it for data

Build = Callable[[Path, Path], None]


def build_once(folder: Path, recipe: dict[str, Any], needed_bytes: int, reporter: Reporter, build: Build) -> Path:
    """Return `folder`, built by `build(staging, scratch)` unless a complete one with this recipe is there.

    recipe: settings (JSON values) that the contents depend on; another recipe rebuilds the folder.
    needed_bytes: free disk space to ask for before anything is fetched.
    build: fills `staging`, which becomes `folder`; `scratch` is thrown away.
    Raises MachineError when the disk is full or not writable; `folder` is then as it was before.
    """
    folder = folder.absolute()  # build may run programs in other folders
    if _is_complete(folder, recipe):
        reporter.say(f"Using the data prepared earlier in {folder}.")
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _check_space(folder.parent, needed_bytes)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            staging, scratch = Path(temporary) / "staging", Path(temporary) / "scratch"
            staging.mkdir()
            scratch.mkdir()
            build(staging, scratch)
            _write_marker(staging, recipe)
            _put_in_place(staging, folder, Path(temporary) / "replaced", recipe)
    except OSError as error:
        raise MachineError(_disk_message(folder, error)) from error
    return folder


def _is_complete(folder: Path, recipe: dict[str, Any]) -> bool:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # The count catches files deleted by hand since.
    return bool(marker == {"recipe": recipe, "files": _count_files(folder)})


def _write_marker(folder: Path, recipe: dict[str, Any]) -> None:
    marker = {"recipe": recipe, "files": _count_files(folder)}
    (folder / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")


def _count_files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder)) - (folder / MARKER).exists()


def _put_in_place(staging: Path, folder: Path, replaced: Path, recipe: dict[str, Any]) -> None:
    if folder.exists():
        folder.rename(replaced)  # removed together with the temporary folder
    try:
        staging.rename(folder)
    except OSError:
        # Another process preparing the same data may have finished first; its folder is as good as ours.
        if not _is_complete(folder, recipe):
            if replaced.exists():
                replaced.rename(folder)
            raise


def _check_space(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise MachineError(
            f"The demo data need {needed_bytes / 1e6:.0f} MB of disk and {folder} has {free / 1e6:.0f} MB free. "
            "Free some space, or set HEADSTART_CACHE to a folder on a larger disk."
        )


def _disk_message(folder: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk filled up while preparing {folder}. Free some space, or set HEADSTART_CACHE to another disk."
    return f"Cannot write {folder} ({error.strerror or error}). Set HEADSTART_CACHE to a folder you may write to."
