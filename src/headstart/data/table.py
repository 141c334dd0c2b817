"""Read rows from CSV, TSV, JSON lines, JSON and Parquet files."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headstart.errors import DataError

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"})
DELIMITERS = ",;\t|"
_END = "\x03end of file\x03"


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it. values: column -> text ("" where missing). fault: why it cannot be used, or ""."""

    id: str
    values: dict[str, str]
    split: str | None = None
    fault: str = ""


@dataclass
class RawTable:
    """Rows before anything is inferred. base: folder that relative file names start from."""

    rows: list[Row]
    base: Path
    layout: str
    columns: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Record:
    """One row before its values are made texts."""

    values: dict[str, Any]
    fault: str = ""


def read_table(file: Path, base: Path | None = None, split: str | None = None) -> RawTable:
    """Read a table file whole.

    Raises DataError for an unknown ending, an empty file or undecodable content.
    """
    suffix = file.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise DataError(f"{file.name} is not a table: {suffix or 'no ending'}. Use {', '.join(sorted(TABLE_SUFFIXES))} "
                        "or a folder with images or recordings.")  # fmt: skip
    notes: list[str] = []
    try:
        if file.stat().st_size == 0:
            raise DataError(f"{file.name} is empty (0 bytes). Give a table with a header line and at least one row.")
        rows = [_row(_flat(record), number, split) for number, record in enumerate(_READERS[suffix](file, notes), 1)]
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{file.name} cannot be read as {suffix[1:]}: {str(error)[:200]}. Check the file.") from error
    if not rows:
        raise DataError(f"{file.name} has no rows. Give a table with a header line and at least one row.")
    columns = tuple(dict.fromkeys(name for row in rows for name in row.values))
    for row in rows:
        if len(row.values) < len(columns):
            row.values.update({name: "" for name in columns if name not in row.values})
    return RawTable(rows, base or file.parent, "table", columns, notes)


def _row(record: _Record, number: int, split: str | None) -> Row:
    values = {sys.intern(name): _as_text(value) for name, value in record.values.items()}
    return Row(f"row {number}", values, split, record.fault)


def _flat(record: _Record) -> _Record:
    """A translation as data sets hold it, {"translation": {"en": …, "de": …}}, as two columns."""
    pair = record.values.get("translation")
    if not isinstance(pair, dict) or not all(isinstance(v, str) for v in pair.values()):
        return record
    rest = {name: value for name, value in record.values.items() if name != "translation"}
    return replace(record, values=rest | {f"translation.{language}": text for language, text in pair.items()})


def _as_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _decode(file: Path, notes: list[str]) -> str:
    raw = file.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        notes.append(f"{file.name} is UTF-16")
        text = raw.decode("utf-16")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            notes.append(
                f"{file.name} is not UTF-8 (byte {error.start}); read as Windows-1252. Check accented letters."
            )
            text = raw.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise DataError(f"{file.name} holds binary data, not text. Export it as {file.suffix[1:].upper()} in UTF-8.")
    return text


def _read_separated(file: Path, notes: list[str]) -> Iterator[_Record]:
    text = _decode(file, notes)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    # one line more than the file has: a quote that is never closed would swallow it, and all rows after the quote
    lines = itertools.chain(io.StringIO(text, newline=""), [_END])
    reader = csv.reader(lines, delimiter=_delimiter(text, file), skipinitialspace=True)
    names: list[str] = []
    short = 0
    begin = 1
    for cells in reader:
        if cells == [_END]:
            break
        if any(_END in cell for cell in cells):
            raise DataError(f"{file.name} line {begin}: a quote is opened and never closed. Close it, or double it if "
                            "it belongs to the text.")  # fmt: skip
        begin = reader.line_num + 1
        if not cells:
            continue
        if not names:
            names = _header(cells, file)
            continue
        short += len(cells) < len(names)
        extra = any(cell.strip() for cell in cells[len(names) :])
        fault = (
            f"{len(cells)} cells where the header has {len(names)}; quote texts that hold separators" if extra else ""
        )
        yield _Record(dict(zip(names, cells)), fault)
    if short:
        notes.append(f"{short} rows of {file.name} have fewer cells than the header; the rest counts as empty")


def _delimiter(text: str, file: Path) -> str:
    """The separator that the header line has most of, outside quotes."""
    header = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0])
    if file.suffix.lower() == ".tsv" and ("\t" in header or not any(d in header for d in DELIMITERS)):
        return "\t"
    return max(DELIMITERS, key=header.count)


def _header(cells: list[str], file: Path) -> list[str]:
    """Column names; unnamed ones (an index that pandas wrote) are called by their position."""
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{file.name} has two columns named {twice[0]!r}; its columns are {', '.join(names)}. Rename one."
        )
    return names


def _read_json_lines(file: Path, notes: list[str]) -> Iterator[_Record]:
    # not splitlines(): it also breaks at U+2028 and the like, which JSON allows inside strings
    for number, line in enumerate(_decode(file, notes).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{file.name} line {number} is not JSON: {str(error)[:100]}. Mend or remove the line."
            ) from error
        if not isinstance(record, dict):
            raise DataError(f'{file.name} line {number} is not an object like {{"text": …, "label": …}}.')
        yield _Record(record)


def _read_json(file: Path, notes: list[str]) -> Iterator[_Record]:
    content = json.loads(_decode(file, notes))
    for records in content.values() if isinstance(content, dict) else [content]:
        if isinstance(records, list) and all(isinstance(r, dict) for r in records):
            yield from map(_Record, records)
            return
    raise DataError(f'{file.name} is not a list of objects. Use one object per row, like {{"text": …, "label": …}}.')


def _read_parquet(file: Path, notes: list[str]) -> Iterator[_Record]:
    import pyarrow
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
        embedded = [f.name for f in opened.schema_arrow if "binary" in str(f.type)]
        wanted = [f.name for f in opened.schema_arrow if f.name not in embedded]
        if embedded:
            told = (f"columns of {file.name} with embedded binary data ignored: {', '.join(embedded)}; save images and "
                    "recordings as files and name them in a column")  # fmt: skip
            if len(wanted) < 2:
                raise DataError(f"{told}. What remains is not enough: {', '.join(wanted) or 'nothing'}.")
            notes.append(told)
        for batch in opened.iter_batches(columns=wanted):
            yield from map(_Record, batch.to_pylist())
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from error


_READERS = {
    ".csv": _read_separated,
    ".tsv": _read_separated,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
