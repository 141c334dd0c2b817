"""Infer which column is the input and which the target, and so what kind of task it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from headstart.data.modality import MODALITIES
from headstart.data.table import RawTable
from headstart.errors import DataError

PATH_NAMES = ("file_name", "file", "filename", "path", "image", "image_path", "audio", "audio_path", "filepath")
TEXT_NAMES = ("text", "sentence", "document", "content", "review", "description", "body", "message", "comment")
CLASS_NAMES = ("label", "labels", "class", "category", "target", "section", "intent", "sentiment", "y")
TRANSCRIPT_NAMES = ("transcription", "transcript", "text", "sentence")


@dataclass(frozen=True)
class Columns:
    """Column names by role, and what they hold. target_kind: "class" or "text"."""

    input: str
    target: str
    modality: str
    target_kind: str
    group: str | None = None
    sentence: str = ""

    def by_role(self) -> dict[str, str]:
        roles = {"input": self.input, "target": self.target, "group": self.group}
        return {role: name for role, name in roles.items() if name is not None}


def infer(
    table: RawTable,
    input_column: str | None = None,
    target_column: str | None = None,
    group_column: str | None = None,
    wanted: tuple[str, str] | None = None,
) -> Columns:
    """Choose the columns; flags override. wanted: (modality, target_kind) where the user named the task.

    Raises DataError naming the columns seen, the nearest name and the flag to use.
    """
    for name, flag in ((input_column, "input"), (target_column, "target"), (group_column, "group")):
        if name is not None:
            _require(table, name, flag)
    if input_column is not None and input_column == target_column:
        raise DataError(f"Column {input_column!r} is named as both input and target. Name two different columns.")
    source = input_column or _find_input(table, (target_column, group_column), wanted)
    modality = modality_of(table, source)
    if wanted and modality != wanted[0]:
        raise DataError(f"The task needs {MODALITIES[wanted[0]].plural}, but column {source!r} holds "
                        f"{MODALITIES[modality].plural}. Name another with --input-column.")  # fmt: skip
    others = [c for c in table.columns if c not in (source, group_column)]
    target, kind = _find_target(table, others, modality, target_column, wanted)
    seen = ", ".join(table.columns)
    sentence = f"input {source!r}, target {target!r} (columns: {seen})"
    return Columns(source, target, modality, kind, group_column, sentence)


def modality_of(table: RawTable, column: str) -> str:
    """image, audio or text, by the endings of the first values."""
    suffixes = [
        Path(v).suffix.lower() for row in table.rows[:200] if (v := row.values[column].strip()) and len(v) < 1024
    ]
    for name, modality in MODALITIES.items():
        hits = sum(s in modality.suffixes for s in suffixes)
        if modality.suffixes and hits > len(suffixes) / 2:
            return name
    return "text"


def _require(table: RawTable, name: str, flag: str) -> None:
    if name in table.columns:
        return
    lowered = {c.lower(): c for c in table.columns}
    close = get_close_matches(name.lower(), lowered, 1, 0.5)
    hint = (
        f" Did you mean --{flag}-column {lowered[close[0]]}?" if close else f" Name one of them with --{flag}-column."
    )
    raise DataError(f"There is no column {name!r}; the columns are {', '.join(table.columns)}.{hint}")


def _find_input(table: RawTable, taken: tuple[str | None, ...], wanted: tuple[str, str] | None) -> str:
    free = [c for c in table.columns if c not in taken]
    media = [c for c in _by_preference(free, PATH_NAMES) + free if modality_of(table, c) != "text"]
    if media and (wanted is None or wanted[0] != "text"):
        return media[0]
    named = _by_preference(free, TEXT_NAMES)
    if named:
        return named[0]
    if not free:
        raise DataError(f"There is no column left for the input; the columns are {', '.join(table.columns)}. "
                        "The table needs one beside the target.")  # fmt: skip
    longest = max(free, key=lambda c: sum(len(r.values[c]) for r in table.rows[:500]))
    if len(table.columns) > 3 and not wanted:
        raise DataError(f"Cannot tell which column is the input; the columns are {', '.join(table.columns)}. "
                        "Name it with --input-column, and the target with --target-column.")  # fmt: skip
    return longest


def _by_preference(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    lowered = {c.lower(): c for c in reversed(columns)}
    return [lowered[n] for n in names if n in lowered]


def _find_target(
    table: RawTable, others: list[str], modality: str, named: str | None, wanted: tuple[str, str] | None
) -> tuple[str, str]:
    kind = wanted[1] if wanted else None
    if named:
        return named, kind or _kind_of(table, named, modality)
    if not others:
        raise DataError(f"There is no target column beside the input; the columns are {', '.join(table.columns)}. "
                        "Add a label column, or name it with --target-column.")  # fmt: skip
    by_class, by_text = _by_preference(others, CLASS_NAMES), _by_preference(others, TRANSCRIPT_NAMES)
    if kind != "class" and modality == "audio" and by_text:
        return by_text[0], "text"
    if kind != "text" and by_class:
        return by_class[0], "class"
    if len(others) == 1:
        return others[0], kind or _kind_of(table, others[0], modality)
    raise DataError(f"Cannot tell which column is the target; the columns are {', '.join(table.columns)}. "
                    "Name it with --target-column.")  # fmt: skip


def _kind_of(table: RawTable, column: str, modality: str) -> str:
    """Few distinct values are classes; many are texts (only recordings have text targets so far)."""
    values = [row.values[column] for row in table.rows if row.values[column]]
    return "text" if modality == "audio" and len(set(values)) > max(20, len(values) // 5) else "class"
