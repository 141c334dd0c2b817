"""Use the machine's package sources as an ordinary user: apt with a private, throw-away state."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.demo_data.programs import run_program
from headstart.errors import MachineError

APT_HELPER = "/usr/lib/apt/apt-helper"  # fixed by the apt package; reads lists in every compression apt can store
FIX = "Check that `apt-get update` works on this machine, then run this again."

# Hooks belong to the system's own package state, which is not touched here; other index files are not wanted.
CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "2";
"""


@dataclass(frozen=True)
class PrivateApt:
    """apt's state, cache and lists under one folder of the user's."""

    folder: Path
    languages: str = "none"  # descriptions to fetch: "none", "en", "en,de"

    def command(self, *words: str) -> list[str]:
        """The apt-get command line that leaves the system's state alone and needs no root."""
        options = {
            "Dir::State": str(self.folder / "state"),
            "Dir::State::lists": str(self.folder / "state" / "lists"),
            "Dir::State::status": str(self.folder / "state" / "status"),
            "Dir::Cache": str(self.folder / "cache"),
            "Debug::NoLocking": "1",
            # The private folder is closed to the account that apt, run by root, would otherwise switch to.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": self.languages,
        }
        settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["apt-get", "-q", "-c", str(self.folder / "apt.conf"), *settings, *words]

    def lists(self, created_by: str, language: str = "") -> list[Path]:
        """Files of the main suites, no updates or backports. created_by: "Packages" or "Translations"."""
        columns = "$(ORIGIN)\t$(RELEASE)\t$(COMPONENT)\t$(LANGUAGE)\t$(FILENAME)"
        command = self.command("indextargets", "--format", columns, f"Created-By: {created_by}")
        rows = [line.split("\t") for line in run_program(command, "Listing the package lists", FIX).splitlines()]
        return main_suite_files(rows, language)

    def download(self, packages: Sequence[str], folder: Path) -> list[Path]:
        """Fetch packages, signatures checked by apt, without installing them; returns the .deb files."""
        purpose = f"Downloading {', '.join(packages)} with apt-get"
        fix = f"Check that `apt-get download {' '.join(packages)}` works on this machine, then run this again."
        run_program(self.command("download", *packages), purpose, fix, cwd=folder)
        files = sorted(folder.glob("*.deb"))
        if len(files) != len(packages):
            raise MachineError(f"{purpose} gave {len(files)} files where {len(packages)} were expected. {fix}")
        return files


def open_private_apt(folder: Path, languages: str, missing: str) -> PrivateApt:
    """Make a private apt state in `folder` and fetch the package lists into it.

    missing: the error's text where there is no apt-get.
    Raises MachineError without apt, or when no list of a Debian or Ubuntu main suite arrives.
    """
    if shutil.which("apt-get") is None or not Path(APT_HELPER).exists():
        raise MachineError(missing)
    apt = PrivateApt(folder, languages)
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "state" / "status").touch()
    (folder / "apt.conf").write_text(CONFIGURATION, encoding="utf-8")
    run_program(apt.command("update"), "Fetching the package lists with apt-get", FIX)
    # apt-get update succeeds with a warning when nothing could be fetched.
    if not apt.lists("Packages"):
        raise MachineError(f"apt-get fetched no package list of a Debian or Ubuntu main suite (no network?). {FIX}")
    return apt


def main_suite_files(rows: Sequence[Sequence[str]], language: str = "") -> list[Path]:
    """Choose the distribution's own lists. rows: origin, release, component, language, file name."""
    chosen: dict[Path, None] = {}
    for row in rows:
        if len(row) != 5:
            continue
        origin, release, component, row_language, name = row
        of_distribution = origin in ("Debian", "Ubuntu") and component in ("main", "universe")
        if of_distribution and "-" not in release and (not language or row_language == language):
            chosen[Path(name)] = None
    return list(chosen)


def read_list(path: Path) -> str:
    """The text of one package list, whatever its compression."""
    return run_program([APT_HELPER, "cat-file", path], f"Reading {path.name}", FIX)
