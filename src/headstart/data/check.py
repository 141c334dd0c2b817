"""Decode every input once, in parallel; quarantine what cannot be used; group what must not be separated."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from headstart.data.box_check import boxed, wrong_sizes
from headstart.data.checked import Checked, UnusableInput
from headstart.data.columns import Columns
from headstart.data.groups import group_rows
from headstart.data.label_sets import joined, labels_of, parse_cell
from headstart.data.modality import MODALITIES
from headstart.data.table import RawTable, Row
from headstart.data.text_pairs import pair_notes
from headstart.errors import DataError
from headstart.types import Dataset, Example, Rejected, Reporter

BLOCK = 1024  # files that wait to be decoded at once
SIDE_ROWS = 8  # a column with more values than one for so many rows is a name or a number, not a kind
SIDE_COLUMNS = 64  # kept at most: a pointer for each row and column


def check(
    table: RawTable, columns: Columns, task: str, root: Path, reporter: Reporter, known_classes: tuple[str, ...] = ()
) -> Dataset:
    """Turn raw rows into a checked data set.

    known_classes: the classes a trained model has; rows with any other are quarantined and nothing else is asked.
    Raises DataError when nothing is usable, or when fewer than two classes with two examples remain.
    """
    outcomes = _decode_all(table, columns, reporter)
    notes = [*table.notes, columns.sentence]
    kept: list[tuple[Row, Checked]] = []
    rejected: list[Rejected] = []
    unusual: Counter[str] = Counter()
    for row, outcome in zip(table.rows, outcomes):
        if isinstance(outcome, Checked) and known_classes and columns.target_kind != "boxes":
            outcome = _known(outcome, row, columns, known_classes)
        if isinstance(outcome, Checked):
            kept.append((row, outcome))
            unusual.update(outcome.notes)
        else:
            rejected.append(Rejected(row_id(row, columns), outcome.reason, outcome.detail))
    notes += [f"{count} {note}" for note, count in unusual.items()]
    if not kept:
        raise DataError(_nothing_usable(table, rejected))
    if not known_classes:
        _require_both_splits(table, kept, rejected)
    examples, group_notes = _examples(kept, columns, table.base)
    notes += group_notes
    if (columns.modality, columns.target_kind) == ("text", "text") and not known_classes:
        notes += pair_notes(examples)
    classes = known_classes
    several = columns.target_kind in ("labels", "boxes")
    framing = None
    if columns.target_kind == "boxes":
        examples, classes, framing = boxed(examples, [checked.size for _, checked in kept], known_classes, notes)
        notes += wrong_sizes([(row_id(row, columns), row.values["size"], checked.size) for row, checked in kept])
    elif several and not known_classes:
        examples, classes = _label_sets(examples, columns, notes)
    if columns.target_kind == "class" and not known_classes:
        classes = _classes(examples, columns, notes)
    notes += _conflicts(examples) if columns.target_kind == "class" else []
    side = {} if known_classes or framing else _side_columns([row for row, _ in kept], columns, table.columns)
    return Dataset(task, columns.modality, root, tuple(examples), tuple(rejected), classes, columns.by_role(),
                   _fingerprint(examples), tuple(notes), side, several=several, framing=framing)  # fmt: skip


def _decode_all(table: RawTable, columns: Columns, reporter: Reporter) -> list[Checked | UnusableInput]:
    modality = MODALITIES[columns.modality]
    is_file = bool(modality.suffixes)
    check_input = modality.check_for(columns.target_kind)

    def decode(row: Row) -> Checked | UnusableInput:
        value, target = row.values[columns.input], row.values[columns.target]
        if row.fault:
            return UnusableInput("row has too many cells", row.fault)
        if not value.strip():
            return UnusableInput("input missing", f"column {columns.input} is empty")
        if not target.strip():
            return UnusableInput("target missing", f"column {columns.target} is empty")
        try:
            return check_input(str(table.base / value) if is_file and "://" not in value else value)
        except UnusableInput as fault:
            return fault

    told = f"Checking {modality.plural}", len(table.rows)
    if not is_file:  # nothing waits for a disk or a decoder, and a million tasks would take more memory than the texts
        return [decode(row) for row in reporter.track(table.rows, *told)]
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")  # decoders' remarks on odd files; what matters is in the outcome
        blocks = (table.rows[start : start + BLOCK] for start in range(0, len(table.rows), BLOCK))
        return list(reporter.track((outcome for block in blocks for outcome in pool.map(decode, block)), *told))


def row_id(row: Row, columns: Columns) -> str:
    """What the user recognises the row by."""
    if columns.modality == "text":
        return row.id
    value = row.values[columns.input]
    return row.id if row.id.endswith(Path(value).name) or not value else f"{Path(value).name} ({row.id})"


def _require_both_splits(table: RawTable, kept: list[tuple[Row, Checked]], rejected: list[Rejected]) -> None:
    """A test set of which nothing is usable must not turn into a split of our own without a word."""
    for split, word in (("test", "test"), ("train", "training")):
        given = sum(row.split == split for row in table.rows)
        if given and not any(row.split == split for row, _ in kept):
            raise DataError(f"None of the {given} {word} rows can be used: {_common_reasons(rejected)}. Mend them.")


def _examples(kept: list[tuple[Row, Checked]], columns: Columns, base: Path) -> tuple[list[Example], list[str]]:
    users = [row.values[columns.group].strip() if columns.group else "" for row, _ in kept]
    grouped = group_rows([checked for _, checked in kept], users)
    examples = []
    for (row, checked), group, near in zip(kept, grouped.groups, grouped.near):
        value = row.values[columns.input]
        if columns.modality != "text":
            value = str(base / value)
        target = row.values[columns.target].strip()
        if columns.target_kind == "labels":
            target = joined(parse_cell(target, columns.separator) or ())
        examples.append(Example(row_id(row, columns), value, target, group, checked.digest, row.split, near))
    return examples, grouped.notes


def _side_columns(rows: list[Row], columns: Columns, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Columns without a role that have at least two values and few: at most one for every SIDE_ROWS rows.

    Equal values are one string in memory.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        values = {row.values[name].strip() for row in rows} if name not in columns.by_role().values() else set()
        if 2 <= len(values) <= len(rows) // SIDE_ROWS and len(found) < SIDE_COLUMNS:
            found[name] = tuple(sys.intern(row.values[name].strip()) for row in rows)
    return found


def _known(outcome: Checked, row: Row, columns: Columns, known_classes: tuple[str, ...]) -> Checked | UnusableInput:
    """Refuse a row with a class that the trained model does not have."""
    target, several = row.values[columns.target].strip(), columns.target_kind == "labels"
    names = (parse_cell(target, columns.separator) or ()) if several else (target,)
    strange = [name for name in names if name not in known_classes]
    if strange:
        word = "labels" if several else "classes"
        return UnusableInput("unknown class", f"{strange[0]!r} is not among the model's {word}")
    return outcome


def _label_sets(examples: list[Example], columns: Columns, notes: list[str]) -> tuple[list[Example], tuple[str, ...]]:
    """Examples whose targets hold labels that occur twice or more, and these labels."""
    counts = Counter(label for e in examples for label in labels_of(e.target))
    classes = tuple(sorted(label for label, n in counts.items() if n >= 2))
    if len(classes) < 2:
        raise DataError(f"Column {columns.target!r} holds {len(classes)} labels that occur twice or more. Several "
                        "labels for an input need at least two; check the column and --label-separator.")  # fmt: skip
    rare = sorted(set(counts) - set(classes))
    if rare:
        notes.append(f"{len(rare)} labels that occur once are left out (such as {rare[0]!r})")
        kept = set(classes)
        examples = [replace(e, target=joined(kept & set(labels_of(e.target)))) for e in examples]
    each = sum(len(labels_of(e.target)) for e in examples) / len(examples)
    none = sum(not labels_of(e.target) for e in examples)
    notes.append(f"{len(classes)} labels, {each:.1f} for an input on average" + (f", none for {none}" if none else ""))
    return examples, classes


def _classes(examples: list[Example], columns: Columns, notes: list[str]) -> tuple[str, ...]:
    counts = Counter(e.target for e in examples if e.target is not None)
    if len(counts) < 2:
        only = next(iter(counts))
        raise DataError(f"All {len(examples)} usable rows have the label {only!r}. A classifier needs two classes; "
                        f"check column {columns.target!r} or add examples of another class.")  # fmt: skip
    rare = sorted(c for c, n in counts.items() if n < 2)
    if rare:
        shown = ", ".join(repr(c) for c in rare[:5])
        if (len(rare) > len(counts) / 2 and len(counts) > 20) or (len(counts) > 10 and _are_numbers(counts)):
            raise DataError(f"{len(rare)} of {len(counts)} labels in column {columns.target!r} occur only once (such "
                            f"as {shown}). That looks like a number or a free text, not a class; name another column "
                            "with --target-column, or sort the values into a few classes first.")  # fmt: skip
        raise DataError(f"{len(rare)} of {len(counts)} classes have a single example: {shown}. Each class needs at "
                        "least two; add examples, merge the class into another, or remove the row.")  # fmt: skip
    if len(counts) > 20 and _are_numbers(counts):
        notes.append(
            f"column {columns.target!r} holds {len(counts)} different numbers, each taken as a class of its own"
        )
    small = [c for c, n in counts.items() if n < 5]
    if small:
        notes.append(f"{len(small)} classes have fewer than 5 examples: {', '.join(sorted(small)[:5])}")
    return tuple(sorted(counts))


def _are_numbers(values: Iterable[str]) -> bool:
    try:
        return all(math.isfinite(float(v)) for v in values)
    except ValueError:
        return False


def _conflicts(examples: list[Example]) -> list[str]:
    labels: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels[example.digest].add(example.target or "")
    conflicts = sum(len(found) > 1 for found in labels.values())
    return [f"{conflicts} inputs occur more than once with different labels; check them"] if conflicts else []


def _fingerprint(examples: Iterable[Example]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for example in sorted(examples, key=lambda e: (e.digest, e.target or "", e.id)):
        digest.update(f"{example.id}\0{example.digest}\0{example.target}\0{example.split}\n".encode(errors="replace"))
    return digest.hexdigest()


def _nothing_usable(table: RawTable, rejected: list[Rejected]) -> str:
    first = rejected[0]
    return (f"None of the {len(table.rows)} rows can be used: {_common_reasons(rejected)}. First: {first.id}: "
            f"{first.detail}. Mend the files, or point to others.")  # fmt: skip


def _common_reasons(rejected: list[Rejected]) -> str:
    reasons = Counter(r.reason for r in rejected).most_common(3)
    return "; ".join(f"{count} × {reason}" for reason, count in reasons)
