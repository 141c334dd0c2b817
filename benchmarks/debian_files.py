"""Files of Debian packages for benchmarks, without installing the packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headstart.demo_data.apt import open_private_apt
from headstart.demo_data.programs import run_program


def unpack(packages: Sequence[str], scratch: Path, missing: str) -> Path:
    """Fetch and unpack packages; returns the folder that holds their files.

    scratch: an empty folder. missing: the message where there is no apt. Raises MachineError where that is so.
    """
    apt = open_private_apt(scratch / "apt", "none", missing)
    (scratch / "downloads").mkdir()
    for package in apt.download(packages, scratch / "downloads"):
        run_program(["dpkg-deb", "-x", package, scratch / "unpacked"], f"Unpacking {package.name}", "Install dpkg.")
    return scratch / "unpacked"
