"""Demo texts to texts: long descriptions of Debian packages and the one line that their maintainers wrote above, and
descriptions that volunteers have translated.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from headstart.demo_data import debian
from headstart.demo_data.apt import open_private_apt, read_list
from headstart.demo_data.control_fields import Package, packages
from headstart.demo_data.folders import build_once
from headstart.types import Reporter

MIN_DOCUMENT, MAX_DOCUMENT = 60, 900  # characters
COLUMNS = ("document", "summary", "origin")


def pairs(rows: Iterable[debian.Row]) -> list[tuple[str, str, str]]:
    """(document, summary, source package) of those descriptions that are neither a few words nor pages long."""
    found = []
    for row in rows:
        summary, _, document = (part.strip() for part in row.text.partition("\n"))
        if MIN_DOCUMENT <= len(document) <= MAX_DOCUMENT:
            found.append((document, summary, row.source))
    return found


def write_pairs(found: Iterable[tuple[str, str, str]], file: Path) -> None:
    """A table with the columns document, summary and origin, the source package."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([COLUMNS, *found])


def translated(root: Path, reporter: Reporter, language: str = "de") -> Path:
    """Write `<root>/debian-LANGUAGE/descriptions.csv` (en, LANGUAGE, origin): synopses and paragraphs of descriptions
    that volunteers have translated; return the file.

    Raises MachineError without apt, network or disk space.
    """

    def build(staging: Path, scratch: Path) -> None:
        reporter.say(f"Fetching the package lists with their descriptions in {language!r} with apt-get (about 30 MB).")
        apt = open_private_apt(scratch / "apt", f"en,{language}", debian.MISSING_APT)
        listed = "\n\n".join(read_list(path) for path in apt.lists("Packages"))
        sides = {}
        for name in ("en", language):
            described = "\n\n".join(read_list(path) for path in apt.lists("Translations", name))
            sides[name] = {package.name: package for package in packages(listed, described, name)}
        both = sorted(sides["en"].keys() & sides[language].keys())
        rows = [
            (ours, theirs, sides["en"][name].source)
            for name in both
            for ours, theirs in _aligned(sides["en"][name], sides[language][name])
        ]
        kept = list({row[:2]: row for row in rows if row[0] != row[1]}.values())
        with (staging / "descriptions.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("en", language, "origin"), *kept])
        reporter.say(f"Prepared {len(kept):,} texts in both languages of {len(both):,} packages.")

    recipe = {"language": language}
    return build_once(root / f"debian-{language}", recipe, debian.NEEDED_BYTES, reporter, build) / "descriptions.csv"


def _aligned(ours: Package, theirs: Package) -> list[tuple[str, str]]:
    """Synopses, and paragraphs where there are as many of them on both sides."""
    pairs_of = [(ours.synopsis, theirs.synopsis)]
    sides = [[p.strip() for p in side.description.split("\n\n") if p.strip()] for side in (ours, theirs)]
    if len(sides[0]) == len(sides[1]):
        pairs_of += [(a, b) for a, b in zip(*sides) if "\n" not in a and "\n" not in b]
    return [pair for pair in pairs_of if all(pair)]


def prepare(root: Path, reporter: Reporter, count: int = 500) -> Path:
    """Write `<root>/debian-synopses/synopses.csv`; return the file.

    count: rows, the first of an order that does not depend on the machine. Raises MachineError without apt, network or
    disk space.
    """

    def build(staging: Path, scratch: Path) -> None:
        del scratch
        found = pairs(debian.usable_rows(root, reporter))[:count]
        write_pairs(found, staging / "synopses.csv")
        reporter.say(f"Prepared {len(found)} package descriptions and their synopses.")

    return build_once(root / "debian-synopses", {"count": count}, debian.NEEDED_BYTES, reporter, build) / "synopses.csv"
