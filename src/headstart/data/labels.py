"""Put the labels that a file of the user's names in the place of those in the data; the data stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from headstart.data.check import row_id
from headstart.data.columns import Columns
from headstart.data.exclude import id_column, listed_id, names_of_rows, read_listed, require_known
from headstart.data.table import RawTable
from headstart.errors import DataError

LABEL_COLUMNS = ("label", "suggested")  # after the data's own name for it; the first that is filled in counts
HEADER = ("input", "given", "label")
NEW_CLASS_ROWS = 5  # a class that corrections make up needs a row for each fold
SHOWN = 3


@dataclass(frozen=True)
class Correction:
    """One row's right label. given: the label that it replaces, "" where the file does not say."""

    id: str
    label: str
    given: str = ""


def read_corrections(file: Path, target_column: str) -> list[Correction]:
    """The corrections that a table holds: its lines with a label, whether or not the data agree.

    file: such as a run's findings/label_errors.csv, perhaps edited: a column "input" (or "id", "file", "row") and one
    with the right label, named as in the data, "label" or "suggested". Lines without a label are passed over.
    Raises DataError for a missing column, for two labels of one row, and where no line has a label.
    """
    listed = read_listed(file, "--labels")
    column = id_column(listed, file)
    names = [c for c in dict.fromkeys((target_column, *LABEL_COLUMNS)) if c in listed.columns]
    if not names:
        raise DataError(f"{file} has the columns {', '.join(listed.columns)}, but none named {target_column}, label or "
                        "suggested that holds the right labels. Rename the one that does.")  # fmt: skip
    found: dict[str, Correction] = {}
    twice: list[str] = []
    for row in listed.rows:
        name = listed_id(row.values[column], column)
        label = next((text for c in names if (text := row.values[c].strip())), "")
        if not name or not label:
            continue
        if name in found and found[name].label != label:
            twice.append(f"{name} as {found[name].label!r} and {label!r}")
        found[name] = Correction(name, label, row.values.get("given", "").strip())
    if twice:
        raise DataError(f"{file} gives {len(twice)} rows two labels each: {'; '.join(twice[:SHOWN])}. Leave one line "
                        "for each row.")  # fmt: skip
    if not found:
        raise DataError(f"{file} corrects nothing: none of its {len(listed.rows)} lines has both an id and a label in "
                        f"{' or '.join(names)}. Fill in the right labels.")  # fmt: skip
    return list(found.values())


def correction_rows(corrections: Iterable[Correction]) -> list[list[str]]:
    """The lines of a file that read_corrections reads, under HEADER."""
    return [[c.id, c.given, c.label] for c in corrections]


def merged(earlier: Sequence[Correction], later: Sequence[Correction]) -> list[Correction]:
    """Corrections of the same data in the order in which they were made: the later one counts.

    The label that the data have is what the earlier one replaced.
    """
    found = {c.id: c for c in earlier}
    for c in later:
        before = found.get(c.id)
        known = before is not None and c.given in ("", before.label, before.given)
        found[c.id] = replace(c, given=before.given) if before is not None and known else c
    return list(found.values())


def with_corrected(table: RawTable, columns: Columns, file: Path) -> tuple[RawTable, int]:
    """The table with the file's labels, and how many rows that changed.

    Raises DataError as read_corrections does, for ids that no row has, for rows whose label is not the one that the
    file says they have, and for a new class of fewer than NEW_CLASS_ROWS rows.
    """
    names, listed = names_of_rows(table, columns), read_corrections(file, columns.target)
    require_known({c.id for c in listed}, set(names), file)
    corrections: dict[str, Correction] = {}
    for c in listed:
        other = corrections.setdefault(names[c.id], c)
        if other.label != c.label:
            raise DataError(f"{file} gives one row two labels: {other.id} as {other.label!r} and {c.id} as "
                            f"{c.label!r}. Leave one line for each row.")  # fmt: skip
    rows, changed, differing = [], 0, []
    for row in table.rows:
        correction = corrections.get(row_id(row, columns))
        now = row.values[columns.target].strip()
        if correction is None or now == correction.label:
            rows.append(row)
            continue
        if correction.given and now != correction.given:
            differing.append(f"{correction.id} is {now!r}, not {correction.given!r}")
        changed += 1
        rows.append(replace(row, values={**row.values, columns.target: correction.label}))
    if differing:
        raise DataError(f"{file} contradicts the data in {len(differing)} of {len(corrections)} rows: "
                        f"{'; '.join(differing[:SHOWN])}. Its column given must hold the label that the data have now; "
                        "put the right one into suggested or label.")  # fmt: skip
    notes = [*table.notes, f"{changed} labels corrected by {file.name}"]
    if already := len(corrections) - changed:
        notes.append(f"{already} corrections in {file.name} are what the data say already")
    if columns.target_kind == "class":
        notes += _new_classes([r.values[columns.target].strip() for r in table.rows],
                              [r.values[columns.target].strip() for r in rows], file)  # fmt: skip
    return replace(table, rows=rows, notes=notes), changed


def _new_classes(before: list[str], after: list[str], file: Path) -> list[str]:
    """Sentences on classes that corrections make up or empty."""
    old, new = set(before) - {""}, Counter(after)
    notes = []
    for name in sorted(set(new) - old - {""}):
        close = get_close_matches(name, list(old), 1, 0.75)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        if new[name] < NEW_CLASS_ROWS:
            raise DataError(f"{file} gives {new[name]} rows the label {name!r}, which no row of the data has.{hint} A "
                            f"new class needs {NEW_CLASS_ROWS} rows at least: use one of {_some(old)}, correct more "
                            "rows, or leave these out with --exclude.")  # fmt: skip
        notes.append(f"new class {name!r} with {new[name]} rows.{hint}".removesuffix("."))
    notes += [f"no row is left with the label {name!r}" for name in sorted(old - set(new))]
    return notes


def _some(names: set[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:8]) + (f" and {len(ordered) - 8} more" if len(ordered) > 8 else "")
