"""Leave out the rows that a file of the user's names."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from headstart.data.check import row_id
from headstart.data.columns import Columns
from headstart.data.table import RawTable, read_table
from headstart.errors import DataError

ID_COLUMNS = ("input", "id")


def without_excluded(table: RawTable, columns: Columns, file: Path) -> tuple[RawTable, int]:
    """The table without the rows whose ids stand in the file's column "input" or "id", and how many went.

    file: a table such as a run's findings/label_errors.csv.
    Raises DataError for a file without such a column, for ids that no row has, and where nothing would be left.
    """
    if not file.exists():
        raise DataError(f"{file} does not exist. Give --exclude a CSV file with a column named input, such as one of "
                        "a run's findings.")  # fmt: skip
    listed = read_table(file)
    column = next((c for c in ID_COLUMNS if c in listed.columns), None)
    if column is None:
        raise DataError(f"{file} has the columns {', '.join(listed.columns)}, but none named input or id that says "
                        "which rows to leave out. Rename the one that does.")  # fmt: skip
    wanted = {row.values[column].strip() for row in listed.rows} - {""}
    known = {row_id(row, columns) for row in table.rows}
    unknown = sorted(wanted - known)
    if unknown:
        close = get_close_matches(unknown[0], list(known)[:10_000], 1)
        hint = f" Did you mean {close[0]}?" if close else f" Ids look like {min(known)}."
        shown = ", ".join(unknown[:3])
        raise DataError(f"{len(unknown)} of {len(wanted)} ids in {file} belong to no row of the data (such as "
                        f"{shown}).{hint} Take them from a run on the same data, or remove these lines.")  # fmt: skip
    kept = [row for row in table.rows if row_id(row, columns) not in wanted]
    if not kept:
        raise DataError(f"{file} names all {len(table.rows)} rows, so that none is left. Remove lines from it.")
    gone = len(table.rows) - len(kept)
    notes = [*table.notes, f"{gone} rows left out because {file.name} names them"] if gone else table.notes
    return replace(table, rows=kept, notes=notes), gone
