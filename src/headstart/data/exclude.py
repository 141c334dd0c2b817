"""Leave out the rows that a file of the user's names."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from headstart.data.check import row_id
from headstart.data.columns import Columns
from headstart.data.table import RawTable, read_table
from headstart.errors import DataError

ID_COLUMNS = ("input", "id", "file", "row")


def without_excluded(table: RawTable, columns: Columns, file: Path) -> tuple[RawTable, int]:
    """The table without the rows whose ids stand in the file's column "input" (or "id", "file", "row"), and how many.

    file: a table such as a run's findings/label_errors.csv.
    Raises DataError for a file without such a column, for ids that no row has, and where nothing would be left.
    """
    names = names_of_rows(table, columns)
    listed = excluded_ids(file)
    require_known(listed, set(names), file)
    wanted = {names[name] for name in listed}
    kept = [row for row in table.rows if row_id(row, columns) not in wanted]
    if not kept:
        raise DataError(f"{file} names all {len(table.rows)} rows, so that none is left. Remove lines from it.")
    gone = len(table.rows) - len(kept)
    notes = [*table.notes, f"{gone} rows left out because {file.name} names them"] if gone else table.notes
    return replace(table, rows=kept, notes=notes), gone


def excluded_ids(file: Path) -> set[str]:
    """The ids of the rows that a file lists. Raises DataError for a missing file or column."""
    listed = read_listed(file, "--exclude")
    column = id_column(listed, file)
    return {listed_id(row.values[column], column) for row in listed.rows} - {""}


def read_listed(file: Path, option: str) -> RawTable:
    """A table that lists rows of the data. Raises DataError where there is none; option: what named it."""
    if not file.exists():
        raise DataError(f"{file} does not exist. Give {option} a CSV file with a column named input, such as one of "
                        "a run's findings.")  # fmt: skip
    return read_table(file)


def id_column(listed: RawTable, file: Path) -> str:
    """The column with the ids of rows. Raises DataError where there is none."""
    column = next((c for c in ID_COLUMNS if c in listed.columns), None)
    if column is None:
        raise DataError(f"{file} has the columns {', '.join(listed.columns)}, but none named input or id that says "
                        "which rows are meant. Rename the one that does.")  # fmt: skip
    return column


def listed_id(value: str, column: str) -> str:
    """The id that a cell names; a bare number in a column "row" is the row of that number."""
    text = value.strip()
    return f"row {text}" if column == "row" and text.isdigit() else text


def names_of_rows(table: RawTable, columns: Columns) -> dict[str, str]:
    """What a row may be called -> its id: the id itself, its place, and the file as the table names it.

    A name that several rows have is none, unless it is an id.
    """
    ids = {row_id(row, columns): row_id(row, columns) for row in table.rows}
    others: dict[str, list[str]] = {}
    for row in table.rows:
        file = row.values[columns.input].strip() if columns.modality != "text" else ""
        for name in {row.id, file} - {""}:
            others.setdefault(name, []).append(row_id(row, columns))
    return {name: found[0] for name, found in others.items() if len(found) == 1} | ids


def require_known(wanted: set[str], known: set[str], file: Path) -> None:
    """Raise DataError where the file names ids that no row has."""
    unknown = sorted(wanted - known)
    if unknown:
        close = get_close_matches(unknown[0], list(known)[:10_000], 1)
        hint = f" Did you mean {close[0]}?" if close else f" Ids look like {min(known)}."
        shown = ", ".join(unknown[:3])
        raise DataError(f"{len(unknown)} of {len(wanted)} ids in {file} belong to no row of the data (such as "
                        f"{shown}).{hint} Take them from a run on the same data, or remove these lines.")  # fmt: skip
