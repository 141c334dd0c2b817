"""Find rows in a folder: one sub-folder per class, Hugging Face metadata files, tables beside the files, or one of the
layouts of boxes and of speech corpora.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from headstart.data import box_files, transcript_files
from headstart.data.aligned import aligned_tables
from headstart.data.columns import modality_of
from headstart.data.modality import MODALITIES
from headstart.data.table import TABLE_SUFFIXES, RawTable, Row, read_table
from headstart.errors import DataError

SPLIT_NAMES = {"train": "train", "training": "train", "val": "train", "valid": "train", "validation": "train",
               "dev": "train", "test": "test"}  # fmt: skip
VALIDATION_NAMES = frozenset({"val", "valid", "validation", "dev"})
MEDIA_SUFFIXES = frozenset().union(*(m.suffixes for m in MODALITIES.values()))


def read(path: Path) -> RawTable:
    """Read a table file or any supported folder layout.

    Raises DataError when the path does not exist or nothing in it is usable.
    """
    try:
        if not path.exists():
            raise DataError(f"{path} does not exist.{_nearest(path)} Give a folder or a table file.")
        if (boxes := box_files.find(path)) is not None:
            return boxes
        if (spoken := transcript_files.find(path, SPLIT_NAMES)) is not None:
            return spoken
        table = _read_root(path) if path.is_dir() else read_table(path)
        return box_files.from_table(table) or table
    except (OSError, ValueError) as error:  # no permission, a name too long, a null byte
        raise DataError(
            f"{str(path)[:300]} cannot be read: {str(error)[:200]}. Check the path and its rights."
        ) from error


def _read_root(path: Path) -> RawTable:
    parts = _split_folders(path)
    if parts:
        tables = [_read_folder(folder, split, path) for folder, split in parts]
    elif pairs := aligned_tables(path, frozenset(MEDIA_SUFFIXES | TABLE_SUFFIXES), SPLIT_NAMES):
        return _merged(pairs)
    else:
        parts = _split_tables(path)
        tables = [read_table(file, split=split) for file, split in parts] or [_read_folder(path, None, path)]
        tables = [replace(t, rows=[replace(r, id=f"{file.name} {r.id}") for r in t.rows])
                  for t, (file, _) in zip(tables, parts)] or tables  # fmt: skip
    merged = _merged(tables)
    if any(part.stem.lower() in VALIDATION_NAMES for part, _ in parts):
        merged.notes.append("the validation rows are used as development data, together with train")
    unused = [p.name for p in _subfolders(path) if p not in [part for part, _ in parts]] if parts else []
    if unused and parts[0][0].is_dir():
        merged.notes.append(f"folders beside train ignored: {', '.join(unused[:8])}")
    return merged


def _merged(tables: list[RawTable]) -> RawTable:
    """One table of all; file names made absolute because their folders differ, missing columns filled."""
    if len(tables) == 1:
        return tables[0]
    columns = tuple(dict.fromkeys(c for t in tables for c in t.columns))
    rows: list[Row] = []
    for table in tables:
        media = [c for c in table.columns if modality_of(table, c) != "text"]
        for row in table.rows:
            named = {
                c: str((table.base / row.values[c]).absolute())
                for c in media
                if row.values[c] and "://" not in row.values[c]
            }
            rows.append(replace(row, values={c: row.values.get(c, "") for c in columns} | named))
    notes = list(dict.fromkeys(note for t in tables for note in t.notes))
    return RawTable(rows, tables[0].base, tables[0].layout, columns, notes)


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    close = get_close_matches(path.name, [p.name for p in path.parent.iterdir()], 1)
    return f" Did you mean {path.parent / close[0]}?" if close else ""


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def _tables(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir()
                  if p.is_file() and p.suffix.lower() in TABLE_SUFFIXES and not p.name.startswith("."))  # fmt: skip


def _split_folders(path: Path) -> list[tuple[Path, str]]:
    """Sub-folders named after splits; a folder "train" with pictures right in it is a class (of vehicles, say)."""
    found = [(p, SPLIT_NAMES[p.name.lower()]) for p in _subfolders(path)
             if p.name.lower() in SPLIT_NAMES and (_subfolders(p) or _tables(p))]  # fmt: skip
    return found if any(split == "train" for _, split in found) else []


def _split_tables(path: Path) -> list[tuple[Path, str]]:
    """train.csv and test.csv (or others named after splits), where these are all the tables."""
    tables = _tables(path)
    if len(tables) < 2 or any(p.stem.lower() not in SPLIT_NAMES for p in tables):
        return []
    found = [(p, SPLIT_NAMES[p.stem.lower()]) for p in tables]
    return found if any(split == "train" for _, split in found) else []


def _read_folder(folder: Path, split: str | None, root: Path) -> RawTable:
    tables = _tables(folder)
    metadata = [p for p in tables if p.stem.lower() == "metadata"]
    if len(metadata) > 1:
        names = ", ".join(p.name for p in metadata)
        raise DataError(f"{folder} holds {len(metadata)} metadata files ({names}). Keep one of them.")
    if metadata:
        return _read_metadata(metadata[0], folder, split, root)
    rows, notes = _class_rows(folder, split, root)
    classes = {row.values["label"] for row in rows}
    if len(tables) == 1:
        table = (
            _read_metadata(tables[0], folder, split, root) if len(classes) < 2 else _if_it_names_files(tables[0], split)
        )
        if table is not None:
            return table
    if not rows:
        raise DataError(_nothing_found(folder, tables))
    notes += [f"{p.name} ignored: the class folders give the labels" for p in tables]
    return RawTable(rows, folder, "class folders", ("file", "label"), notes)


def _if_it_names_files(file: Path, split: str | None) -> RawTable | None:
    """The table beside class folders, if one of its columns holds file names; else it is a stray file."""
    try:
        table = read_table(file, split=split)
    except DataError:
        return None
    return table if any(modality_of(table, c) != "text" for c in table.columns) else None


def _read_metadata(file: Path, folder: Path, split: str | None, root: Path) -> RawTable:
    table = read_table(file, base=folder, split=split)
    prefix = folder.relative_to(root).as_posix()
    if prefix != ".":
        table.rows = [replace(row, id=f"{prefix}/{row.id}") for row in table.rows]
    table.layout = "metadata"
    return table


def _class_rows(folder: Path, split: str | None, root: Path) -> tuple[list[Row], list[str]]:
    """A row for each image or recording in a class folder, at any depth; hidden files are passed over."""
    rows: list[Row] = []
    empty: list[str] = []
    stray = [p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in MEDIA_SUFFIXES and p.name[0] != "."]
    notes = [f"{len(stray)} files outside class folders ignored (such as {min(stray).name})"] if stray else []
    others: list[Path] = []
    for class_folder in _subfolders(folder):
        visible = sorted(p for p in class_folder.rglob("*") if p.is_file()
                         and not any(part.startswith(".") for part in p.relative_to(class_folder).parts))  # fmt: skip
        files = [p for p in visible if p.suffix.lower() in MEDIA_SUFFIXES]
        others += [p for p in visible if p.suffix.lower() not in MEDIA_SUFFIXES]
        if not files:
            empty.append(class_folder.name)
        rows += [Row(p.relative_to(root).as_posix(), {"file": str(p.absolute()), "label": class_folder.name}, split)
                 for p in files]  # fmt: skip
    notes += [f"empty class folders ignored: {', '.join(empty)}"] if empty else []
    if others:
        name = others[0].relative_to(root).as_posix()
        notes.append(f"{len(others)} files that are neither images nor recordings ignored (such as {name})")
    return rows, notes


def _nothing_found(folder: Path, tables: list[Path]) -> str:
    if tables:
        return (f"{folder} holds several tables ({', '.join(p.name for p in tables[:8])}) and no class folders. Name "
                "the one to use, or call them train.csv and test.csv.")  # fmt: skip
    seen = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
    return (f"{folder} holds no class folders with images or recordings and no table (found: {seen}). "
            "Lay it out as folder/<class>/<files>, or add metadata.csv with file_name and label columns.")  # fmt: skip
