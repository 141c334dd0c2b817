"""Infer which column is the input and which the target, and so what kind of task it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from headstart.data import box_files
from headstart.data.label_sets import holds_lists, separator_of
from headstart.data.languages import ISO_639_3
from headstart.data.modality import MODALITIES
from headstart.data.table import RawTable
from headstart.errors import DataError

PATH_NAMES = ("file_name", "file", "filename", "path", "image", "image_path", "audio", "audio_path", "filepath")
TEXT_NAMES = ("text", "sentence", "document", "content", "review", "description", "body", "message", "comment")
SOURCE_NAMES = ("source", "src", "document", "article", "dialogue", "long", "input", "text", "en", "translation.en")
ANSWER_NAMES = ("target", "tgt", "summary", "highlights", "abstract", "short", "translation", "output", "headline")
SUMMARY_NAMES = frozenset({"summary", "highlights", "abstract", "headline", "short", "synopsis", "title"})
CLASS_NAMES = ("label", "labels", "class", "category", "target", "section", "intent", "sentiment", "y")
LANGUAGES = frozenset({*ISO_639_3, *ISO_639_3.values()} - {"id", "no"})  # more often a number than a language
TRANSCRIPT_NAMES = ("transcription", "transcript", "text", "sentence")


@dataclass(frozen=True)
class Columns:
    """Column names by role, and what they hold. target_kind: "class", "labels" (any number of them), "text" or "boxes".

    separator: between labels in a cell; None where cells are JSON lists.
    """

    input: str
    target: str
    modality: str
    target_kind: str
    group: str | None = None
    sentence: str = ""
    separator: str | None = None

    @property
    def is_summary(self) -> bool:
        """Whether the target's name says that it is a short form of the input."""
        return self.target.lower() in SUMMARY_NAMES

    def by_role(self) -> dict[str, str]:
        roles = {"input": self.input, "target": self.target, "group": self.group}
        return {role: name for role, name in roles.items() if name is not None}


def infer(
    table: RawTable,
    input_column: str | None = None,
    target_column: str | None = None,
    group_column: str | None = None,
    wanted: tuple[str, str] | None = None,
    separator: str | None = None,
) -> Columns:
    """Choose the columns; flags override. wanted: (modality, target_kind) where the user named the task. separator:
    between several labels in a cell.

    Raises DataError naming the columns seen, the nearest name and the flag to use.
    """
    if table.layout == box_files.LAYOUT:
        if group_column is not None:
            raise DataError(
                f"--group-column {group_column} is for tables with a row for each input; pictures with boxes have no "
                "such column. Put pictures that belong together into train/ and test/ yourself."
            )
        return _boxes(table, wanted)
    for name, flag in ((input_column, "input"), (target_column, "target"), (group_column, "group")):
        if name is not None:
            _require(table, name, flag)
    if input_column is not None and input_column == target_column:
        raise DataError(f"Column {input_column!r} is named as both input and target. Name two different columns.")
    pair = None if input_column or target_column else _pair(table, wanted)
    input_column, target_column = pair or (input_column, target_column)
    if wanted and wanted[1] == "boxes":
        raise DataError("No boxes were found. Object detection reads COCO JSON, YOLO label files, Pascal VOC XML, a "
                        "table with xmin, ymin, xmax, ymax and label, or metadata with objects.")  # fmt: skip
    source = input_column or _find_input(table, (target_column, group_column), wanted)
    modality = modality_of(table, source)
    if wanted and modality != wanted[0]:
        raise DataError(f"The task needs {MODALITIES[wanted[0]].plural}, but column {source!r} holds "
                        f"{MODALITIES[modality].plural}. Name another with --input-column.")  # fmt: skip
    others = [c for c in table.columns if c not in (source, group_column)]
    target, kind = _find_target(table, others, modality, target_column, wanted)
    cells = [row.values[target] for row in table.rows]
    if kind == "class" and (separator or holds_lists(cells)):
        kind = "labels"
    seen = ", ".join(table.columns)
    if kind == "class" and (likely := separator_of(cells)):
        seen += f"; cells of {target!r} look like several labels: then say --label-separator {likely!r}"
    sentence = f"input {source!r}, target {target!r} (columns: {seen})"
    return Columns(source, target, modality, kind, group_column, sentence, separator)


def _boxes(table: RawTable, wanted: tuple[str, str] | None) -> Columns:
    source, target, _ = box_files.COLUMNS
    if wanted not in (None, ("image", "boxes")):
        raise DataError("The data hold boxes around objects, and the task named takes none. Use --task "
                        "object-detection, or point to data without boxes.")  # fmt: skip
    return Columns(source, target, "image", "boxes", None, "images with boxes around objects")


def _pair(table: RawTable, wanted: tuple[str, str] | None) -> tuple[str, str] | None:
    """Columns whose names say that texts are to become texts, where nothing else is wanted or named as a class."""
    if wanted is None and _by_preference(table.columns, [n for n in CLASS_NAMES if n != "target"]):
        return None
    if wanted not in (None, ("text", "text")):
        return None
    found = _text_pair(table.columns)
    if found is None or any(modality_of(table, name) != "text" for name in found):
        return None
    return found if wanted or _kind_of(table, found[1], "text") == "text" else None


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
    """Few distinct values are classes; many are texts: transcripts, or answers where most values are several words."""
    values = [row.values[column] for row in table.rows if row.values[column]]
    if len(set(values)) <= max(20, len(values) // 5):
        return "class"
    several = sum(len(value.split()) > 2 for value in values) > len(values) / 2
    return "text" if modality == "audio" or (modality == "text" and several) else "class"


def _text_pair(columns: Sequence[str]) -> tuple[str, str] | None:
    """Input and target of texts to texts, by name: source and target, document and summary, two languages."""
    languages = [c for c in columns if c.lower().startswith("translation.")]
    if len(languages) == 2 and "translation" not in columns:
        return languages[0], languages[1]
    codes = [c for c in columns if re.split(r"[-_]", c.lower())[0] in LANGUAGES]
    if len(codes) == 2:
        return codes[0], codes[1]
    sources, answers = _by_preference(columns, SOURCE_NAMES), _by_preference(columns, ANSWER_NAMES)
    found = [(s, a) for a in answers for s in sources if s != a]
    return found[0] if found else None
