"""Demo text: descriptions of Debian packages, to be filed under the section their maintainers chose."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.demo_data.apt import open_private_apt, read_list
from headstart.demo_data.control_fields import Package, packages
from headstart.demo_data.folders import build_once
from headstart.errors import DataError
from headstart.types import Reporter

MISSING_APT = (
    "The demo text needs a Debian or Ubuntu machine: it comes from apt's package lists, and there is no apt-get here. "
    "Use your own table: headstart fit reviews.csv"
)
# Sections that say how a package is used or that nothing else fitted, not what it is about.
CATCH_ALL = frozenset({"misc", "metapackages", "oldlibs", "tasks", "debug", "localization", "introspection"})
COLUMNS = ("text", "section", "source", "package")
NEEDED_BYTES = 300_000_000  # compressed and private lists, the full table, a margin

_EMPTY = re.compile(r"\b(transitional|dummy|meta-?package|empty package)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One package in the demo's table; field names are its columns."""

    text: str
    section: str
    source: str
    package: str


def prepare(root: Path, reporter: Reporter, per_class: int = 300, sections: int = 20) -> Path:
    """Write `<root>/debian-sections/sections.csv` (text, section, source, package); return the file.

    per_class: most rows of one section. sections: how many, those with the most source packages first.
    Raises MachineError without apt, network or disk space.
    """

    def build(staging: Path, scratch: Path) -> None:
        del scratch
        rows = usable_rows(root, reporter)
        chosen = take_per_section(in_sections(rows, choose_sections(rows, sections, per_class)), per_class, seed=0)
        write_table(chosen, staging / "sections.csv")
        counts = Counter(row.section for row in chosen)
        listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        reporter.say(f"Prepared {len(chosen):,} package descriptions in {len(counts)} sections: {listed}.")

    recipe = {"per_class": per_class, "sections": sections}
    return build_once(root / "debian-sections", recipe, NEEDED_BYTES, reporter, build) / "sections.csv"


def write_subset(
    rows: Sequence[Row], folder: Path, train_per_class: int, test_per_class: int | None = None, seed: int = 0
) -> tuple[Path, Path]:
    """Write `train.csv` and `test.csv` for a benchmark; no source is in both. Returns both paths.

    rows: those of the wanted sections, see usable_rows, choose_sections and in_sections.
    Half of the sources are for testing: which, and so test.csv, does not depend on `seed`; train.csv does.
    Raises DataError when a section has fewer than `train_per_class` rows to train on.
    """
    for_test = [row for row in rows if _hash("side", row.source)[0] % 2 == 0]
    for_train = [row for row in rows if _hash("side", row.source)[0] % 2 == 1]
    train = take_per_section(for_train, train_per_class, seed)
    test = take_per_section(for_test, len(for_test) if test_per_class is None else test_per_class, seed=0)
    counts = Counter(row.section for row in train)
    short = [name for name in sorted({row.section for row in rows}) if counts[name] < train_per_class]
    if short:
        raise DataError(
            f"{len(short)} sections have fewer than {train_per_class} rows to train on ({', '.join(short)}). "
            "Ask for fewer rows or leave these sections out."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_table(train, folder / "train.csv")
    write_table(test, folder / "test.csv")
    return folder / "train.csv", folder / "test.csv"


def usable_rows(root: Path, reporter: Reporter) -> list[Row]:
    """All rows the lists of this machine's distribution give, kept in `<root>/debian-packages/packages.csv`.

    At most one row of a source in a section, no text twice, no catch-all sections, no empty packages.
    """

    def build(staging: Path, scratch: Path) -> None:
        reporter.say("Fetching the package lists of this machine's distribution with apt-get (about 20 MB).")
        apt = open_private_apt(scratch / "apt", "en", MISSING_APT)
        listed = "\n\n".join(read_list(path) for path in apt.lists("Packages"))
        described = "\n\n".join(read_list(path) for path in apt.lists("Translations", "en"))
        found = packages(listed, described)
        rows = select_rows(found)
        if not rows:
            raise DataError(
                f"The package lists hold {len(found):,} packages with English descriptions, none of them usable. "
                "Check that apt's sources include the distribution's main component."
            )
        write_table(rows, staging / "packages.csv")
        reporter.say(f"Kept {len(rows):,} of {len(found):,} packages: one of each source in a section, no empty ones.")

    folder = build_once(root / "debian-packages", {"languages": "en"}, NEEDED_BYTES, reporter, build)
    return read_table(folder / "packages.csv")


def select_rows(found: Iterable[Package]) -> list[Row]:
    """Drop packages without content of their own and near-copies; order by hash, so that sections are mixed."""
    kept = [package for package in found if package.section not in CATCH_ALL and not is_empty(package)]
    rows = [Row(package.text, package.section, package.source, package.name) for package in kept]
    taken: set[tuple[str, str]] = set()
    texts: set[str] = set()
    chosen = []
    for row in sorted(rows, key=lambda row: _hash("row", row.package)):
        if (row.source, row.section) in taken or row.text in texts:
            continue
        taken.add((row.source, row.section))
        texts.add(row.text)
        chosen.append(row)
    return chosen


def is_empty(package: Package) -> bool:
    """Whether a package only pulls in others or carries debugging symbols, so that its text is about packaging."""
    if package.name.endswith(("-dbgsym", "-dbg")):
        return True
    return bool(_EMPTY.search(package.synopsis)) or not package.description or not package.text


def choose_sections(rows: Iterable[Row], sections: int, min_sources: int) -> list[str]:
    """Names of the sections with the most sources, sorted; none with fewer than `min_sources`.

    Raises DataError when fewer than two are large enough.
    """
    sources: dict[str, set[str]] = {}
    for row in rows:
        sources.setdefault(row.section, set()).add(row.source)
    large = [name for name in sources if len(sources[name]) >= min_sources]
    chosen = sorted(large, key=lambda name: (-len(sources[name]), name))[:sections]
    if len(chosen) < 2:
        raise DataError(
            f"{len(chosen)} sections have {min_sources} sources or more, and two are needed. "
            "Ask for fewer rows a section."
        )
    return sorted(chosen)


def in_sections(rows: Iterable[Row], sections: Iterable[str]) -> list[Row]:
    """The rows filed under one of `sections`."""
    wanted = set(sections)
    return [row for row in rows if row.section in wanted]


def take_per_section(rows: Iterable[Row], per_class: int, seed: int) -> list[Row]:
    """At most `per_class` rows of each section, chosen and ordered by a hash of seed and package name."""
    counts: Counter[str] = Counter()
    taken = []
    for row in sorted(rows, key=lambda row: _hash(str(seed), row.package)):
        if counts[row.section] < per_class:
            counts[row.section] += 1
            taken.append(row)
    return taken


def write_table(rows: Iterable[Row], path: Path) -> None:
    """Write rows as CSV with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((row.text, row.section, row.source, row.package) for row in rows)


def read_table(path: Path) -> list[Row]:
    """Read what write_table wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(*(record[name] for name in COLUMNS)) for record in csv.DictReader(file)]


def _hash(purpose: str, name: str) -> bytes:
    return hashlib.sha256(f"{purpose}:{name}".encode()).digest()
