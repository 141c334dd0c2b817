"""Several labels for one input: how cells hold them, and how a target text does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.types import Dataset, Example

SEPARATORS = (",", ";", "|")
REPEATED = 0.5  # of the parts must occur in several cells, for cells to look like lists of labels
SEVERAL = 0.2  # of the cells must hold a separator


def joined(labels: Iterable[str]) -> str:
    """One text for a set of labels, equal for equal sets: a JSON list in the alphabet's order."""
    return json.dumps(sorted(set(labels)), ensure_ascii=False)


def labels_of(target: str | None) -> tuple[str, ...]:
    """The labels in a text that `joined` made, or of objects in one that `boxes.as_target` made, no crowds."""
    held = json.loads(target) if target else []
    return tuple(v if isinstance(v, str) else v["label"] for v in held if isinstance(v, str) or not v.get("crowd"))


def parse_cell(cell: str, separator: str | None) -> tuple[str, ...] | None:
    """Labels of a cell: a JSON list, or texts between separators; None where it is empty (not an empty list)."""
    text = cell.strip()
    if not text:
        return None
    listed = _json_list(text)
    if listed is not None:
        return tuple(part for value in listed if (part := str(value).strip()))
    parts = text.split(separator) if separator else [text]
    return tuple(label for part in parts if (label := part.strip()))


def holds_lists(cells: Sequence[str]) -> bool:
    """Whether most cells are JSON lists."""
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and sum(_json_list(cell.strip()) is not None for cell in filled) > len(filled) / 2


def separator_of(cells: Sequence[str]) -> str | None:
    """The separator that makes lists of labels of these cells: many hold it, and what it separates occurs again."""
    filled = [cell for cell in cells if cell.strip()]
    for separator in SEPARATORS:
        several = [cell for cell in filled if separator in cell]
        if len(several) < max(2, SEVERAL * len(filled)):
            continue
        counts = Counter(part.strip() for cell in filled for part in set(cell.split(separator)))
        occurring = [sum(counts[p.strip()] > 1 for p in cell.split(separator)) for cell in several]
        parts = sum(len(cell.split(separator)) for cell in several)
        if sum(occurring) > REPEATED * parts and len(counts) < parts / 2:
            return separator
    return None


def members(examples: Sequence[Example], classes: Sequence[str]) -> NDArray[np.bool_]:
    """Which labels each example has, (N, C)."""
    return matrix_of([labels_of(example.target) for example in examples], classes)


def matrix_of(labels: Sequence[Iterable[str]], classes: Sequence[str]) -> NDArray[np.bool_]:
    """Sets of labels as rows of a matrix (N, C). Raises KeyError for a label that is no class."""
    index = {name: i for i, name in enumerate(classes)}
    found = np.zeros((len(labels), len(classes)), dtype=bool)
    for row, known in enumerate(labels):
        for label in known:
            found[row, index[label]] = True
    return found


def class_counts(dataset: Dataset) -> Counter[str]:
    """How many examples have each class, or how many objects there are of each; empty where targets are texts."""
    if not dataset.classes or dataset.objects:
        return Counter(dataset.objects)
    each = (labels_of(e.target) if dataset.several else (str(e.target),) for e in dataset.examples)
    return Counter(name for names in each for name in names)


def rarest(has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The least frequent label of each row (N,), C where it has none: folds are balanced by it, as in iterative
    stratification (Sechidis et al. 2011), which begins with the rarest labels as well.
    """
    counts = has.sum(0)
    cost = np.where(has, counts, has.shape[0] + 1)
    found = cost.argmin(1)
    return np.asarray(np.where(has.any(1), found, has.shape[1]), dtype=np.int64)


def _json_list(text: str) -> list[object] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) else None
