"""Texts longer than a network reads, as windows of tokens that it reads one by one. Does not import headstart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = "windows.json"


def windows_of(folder: str | Path) -> int:
    """How many windows of a text a saved folder reads; 1 where it reads the beginning alone."""
    file = Path(folder) / FILE
    return int(json.loads(file.read_text(encoding="utf-8"))["windows"]) if file.is_file() else 1


def windows(tokenizer: Any, texts: list[str], most: int, max_length: int | None = None) -> list[list[list[int]]]:
    """Each text's windows, at most so many: token numbers with the marks of a text of its own around each.

    All but the last are full. max_length: of a window; the tokenizer's own where left out.
    """
    given: dict[str, Any] = {"max_length": max_length} if max_length else {}
    found = tokenizer(texts, truncation=True, return_overflowing_tokens=True, **given)
    rows: list[list[list[int]]] = [[] for _ in texts]
    for ids, text in zip(found["input_ids"], found["overflow_to_sample_mapping"]):
        if len(rows[text]) < most:
            rows[text].append(list(ids))
    return rows
