"""Two columns of texts that are judged together (premise and hypothesis, two questions), made one."""

from __future__ import annotations

from dataclasses import replace

from headstart.data.columns import CLASS_NAMES
from headstart.data.table import RawTable
from headstart.errors import DataError
from headstart.stock.pairs import SEPARATOR

NAMES = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("text1", "text2"),
    ("text_a", "text_b"), ("text", "text_pair"), ("query", "passage"), ("question", "sentence"),
    ("question", "context"),
)  # fmt: skip
CLASSES_OF_TEXTS = (None, ("text", "class"), ("text", "labels"))
BETWEEN = " + "  # of the names, in that of the joined column


def with_pairs(
    table: RawTable, first: str | None, second: str | None, wanted: tuple[str, str] | None = None
) -> tuple[RawTable, str | None]:
    """The table with the two columns joined, and the joined one's name; as it was, and `first`, where there is no pair.

    first, second: as the user named them; known names beside a class column where `second` is left out. wanted:
    (modality, target_kind) where the user named the task.
    Raises DataError where only one of them is there.
    """
    if second is None:
        found = None if first or wanted not in CLASSES_OF_TEXTS else _known(table)
        if found is None:
            return table, first
        first, second = found
    if first is None:
        raise DataError(f"The second text is column {second!r}; name the first one with --input-column.")
    missing = [name for name in (first, second) if name not in table.columns]
    if missing:
        raise DataError(f"There is no column {missing[0]!r}; the columns are {', '.join(table.columns)}.")
    return joined(table, first, second), f"{first}{BETWEEN}{second}"


def joined(table: RawTable, first: str, second: str) -> RawTable:
    """One column in the place of two; empty where one of the texts is."""
    name = f"{first}{BETWEEN}{second}"
    rest = tuple(c for c in table.columns if c not in (first, second))
    rows = []
    for row in table.rows:
        texts = [row.values[c].replace(SEPARATOR, " ") for c in (first, second)]
        both = SEPARATOR.join(texts) if all(text.strip() for text in texts) else ""
        rows.append(replace(row, values={name: both, **{c: row.values[c] for c in rest}}))
    return replace(table, rows=rows, columns=(name, *rest))


def like_trained(table: RawTable, column: str | None) -> RawTable:
    """The table with the columns joined that a model's input column was made of, where it has them."""
    first, between, second = (column or "").partition(BETWEEN)
    return joined(table, first, second) if between and {first, second} <= set(table.columns) else table


def _known(table: RawTable) -> tuple[str, str] | None:
    lowered = {c.lower(): c for c in table.columns}
    if not any(name in lowered for name in CLASS_NAMES if name != "target"):
        return None
    return next(((lowered[a], lowered[b]) for a, b in NAMES if a in lowered and b in lowered), None)
