"""Read: find the rows, infer columns and task, decode everything once, split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from headstart.data import box_files, folders
from headstart.data import columns as column_inference
from headstart.data.check import check
from headstart.data.exclude import without_excluded
from headstart.data.kept_split import kept_split, load_split
from headstart.data.labels import with_corrected
from headstart.data.scenes import with_tiles
from headstart.data.shift import split_by_shift
from headstart.data.split import Split, make_split
from headstart.data.table import RawTable, Row
from headstart.data.text_columns import with_pairs
from headstart.errors import DataError
from headstart.settings import Settings
from headstart.tasks import task_for, task_named
from headstart.tasks.task import Task
from headstart.types import Dataset, Reporter


def read_data(settings: Settings, reporter: Reporter) -> tuple[Task, Dataset, Split]:
    """Read, infer columns and task, decode everything once, split."""
    root = Path(settings.data).expanduser()
    table = folders.read(root)
    if settings.test is not None:
        table = _with_test(table, folders.read(Path(settings.test).expanduser()))
    named = task_named(settings.task, settings.label_separator is not None) if settings.task else None
    wanted = (named.modality, named.target_kind) if named else None
    table, input_column = with_pairs(table, settings.input_column, settings.pair_column, wanted)
    columns = column_inference.infer(
        table,
        input_column,
        settings.target_column,
        settings.group_column,
        wanted,
        settings.label_separator,
    )
    task = named or task_for(columns.modality, columns.target_kind, columns.is_summary)
    corrected = excluded = 0
    if settings.labels is not None:
        table, corrected = with_corrected(table, columns, Path(settings.labels).expanduser())
    if settings.exclude is not None:
        table, excluded = without_excluded(table, columns, Path(settings.exclude).expanduser())
    saved = None if settings.split is None else load_split(Path(settings.split).expanduser())
    dataset = replace(check(table, columns, task.name, root, reporter), excluded=excluded, corrected=corrected)
    if saved is None:
        split = make_split(dataset, settings.seed, settings.test_size, task.cross_validate_small)
        if settings.shift_column is not None:
            split = split_by_shift(dataset, split, settings.shift_column)
        return task, *with_tiles(dataset, split)
    by_id = settings.labels is not None or settings.exclude is not None
    split, told = kept_split(dataset, saved, settings.seed, by_id)
    return task, *with_tiles(replace(dataset, notes=(*dataset.notes, told)), split)


def _with_test(train: RawTable, test: RawTable) -> RawTable:
    """Rows of both, those of the test set marked; file names made absolute because their folders differ."""
    rows: list[Row] = []
    notes: list[str] = []
    if (train.layout == box_files.LAYOUT) != (test.layout == box_files.LAYOUT):
        raise DataError("One of the training and the test set holds boxes around objects, the other does not.")
    for table, split in ((train, "train"), (test, "test")):
        own_test = split == "train" and any(row.split == "test" for row in table.rows)
        if own_test:
            notes.append("the data's own test rows are left out, because --test names others")
        for row in table.rows:
            if own_test and row.split == "test":
                continue
            values = {
                c: str((table.base / v).resolve()) if v and _is_file(table.base, v) else v
                for c, v in row.values.items()
            }
            rows.append(replace(row, id=f"{split}: {row.id}", values=values, split=split))
    shared = tuple(c for c in train.columns if c in test.columns)
    missing = [c for c in train.columns if c not in test.columns]
    if not shared:
        raise DataError(
            f"The test set has the columns {', '.join(test.columns)}; the training set has "
            f"{', '.join(train.columns)}. Give both the same columns."
        )
    kept = [replace(row, values={c: row.values[c] for c in shared}) for row in rows]
    notes += [f"columns only in the training set ignored: {', '.join(missing)}"] if missing else []
    return RawTable(kept, train.base, train.layout, shared, [*train.notes, *test.notes, *notes])


def _is_file(base: Path, value: str) -> bool:
    try:
        return Path(value).suffix.lower() in folders.MEDIA_SUFFIXES and (base / value).is_file()
    except (OSError, ValueError):
        return False


def leak_warning(dataset: Dataset, split: Split) -> list[str]:
    """A sentence where given test rows share content or group with training rows."""
    dev = {dataset.examples[r].group for r in split.dev}
    leaked = sum(dataset.examples[r].group in dev for r in split.test)
    if not leaked:
        return []
    return [
        f"{leaked} of {len(split.test)} test rows are also in the training rows (same content, or same group); the "
        "test score is flattered by them. Remove them from one side."
    ]
