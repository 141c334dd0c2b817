"""Two text files whose lines belong together: train.en and train.de, or test.src and test.tgt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headstart.data.table import RawTable, Row
from headstart.errors import DataError

SOURCES = ("src", "source", "en", "document", "article")
SUMMARIES = ("summary", "highlights", "abstract", "headline")
NO_LANGUAGE = frozenset({".txt", ".md", ".rst", ".yaml", ".yml", ".toml", ".xml", ".html", ".pdf", ".zip", ".gz", ".py",
                         ".log", ".cfg", ".ini", ".sha256", ".bak"})  # fmt: skip
MOST_LETTERS = 12  # of an ending: "source", "de", "summary"


def aligned_tables(folder: Path, known_suffixes: frozenset[str], splits: Mapping[str, str]) -> list[RawTable]:
    """One table for each pair of files with one name and two endings, such as train.en and train.de; none otherwise.

    known_suffixes: endings that mean something else. splits: a file's name -> its split. Raises DataError where a pair
    has unequal numbers of lines.
    """
    by_stem: dict[str, list[Path]] = {}
    for file in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        if (
            file.suffix
            and file.suffix.lower() not in known_suffixes | NO_LANGUAGE
            and len(file.suffix) <= MOST_LETTERS + 1
        ):
            by_stem.setdefault(file.stem, []).append(file)
    pairs = [files for files in by_stem.values() if len(files) == 2]
    if not pairs or {p.suffix for p in pairs[0]} != {f.suffix for files in pairs for f in files}:
        return []
    return [_table(*_in_order(files), splits) for files in pairs]


def _in_order(files: list[Path]) -> tuple[Path, Path]:
    """Source and target: by the names of their endings where these tell, else by the alphabet."""
    first, second = sorted(files, key=lambda f: (f.suffix[1:].lower() not in SOURCES, f.suffix))
    return first, second


def _table(source: Path, target: Path, splits: Mapping[str, str]) -> RawTable:
    sides = [_lines(file) for file in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{source.name} has {len(sides[0])} lines and {target.name} has {len(sides[1])}: line n of one must belong "
            "to line n of the other. Find where a line is missing, or give a table with both columns."
        )
    endings = [file.suffix[1:].lower() for file in (source, target)]
    names = tuple(endings if endings[1] in SUMMARIES else [f"translation.{ending}" for ending in endings])
    split = splits.get(source.stem.lower())
    rows = [Row(f"{source.stem} line {n}", dict(zip(names, pair)), split, "") for n, pair in enumerate(zip(*sides), 1)]
    return RawTable(
        rows, source.parent, "table", names, [f"line n of {source.name} belongs to line n of {target.name}"]
    )


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} is not UTF-8 (byte {error.start}). Convert it to UTF-8.") from error
    lines = text.split("\n")
    return [line.rstrip("\r") for line in (lines[:-1] if lines and not lines[-1] else lines)]
