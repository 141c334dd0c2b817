"""Prompts around texts, for models that write on. Does not import headstart."""

from __future__ import annotations

from typing import Any

_PLACE = "\x1e"  # ASCII's record separator: no text holds it


def prompts(tokenizer: Any, config: Any, texts: list[str], limit: int) -> list[list[int]]:
    """Token numbers of each text with its prompt around it; of a text that is too long for the limit, its beginning.

    The configuration's `prefix` and `suffix` stand around the text, and the tokenizer's chat template, if it has one,
    around all three.
    """
    prefix, suffix = (getattr(config, name, None) or "" for name in ("prefix", "suffix"))
    if tokenizer.chat_template:
        message = {"role": "user", "content": f"{prefix}{_PLACE}{suffix}"}
        told = tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
        first, _, last = told.partition(_PLACE)
        before = tokenizer(first, add_special_tokens=False)["input_ids"]
    else:
        before, last = tokenizer(prefix)["input_ids"], suffix
        if before and before[-1] == tokenizer.eos_token_id and len(before) > 1:
            before = before[:-1]
    after = tokenizer(last, add_special_tokens=False)["input_ids"] if last else []
    room = max(1, limit - len(before) - len(after))
    found = tokenizer(texts, add_special_tokens=False, truncation=True, max_length=room)["input_ids"]
    return [[*before, *ids, *after] for ids in found]


def left_padded(rows: list[list[int]], pad_id: int) -> tuple[list[list[int]], list[list[int]]]:
    """Token numbers of one length, and their mask: what is written on must not follow padding."""
    longest = max(map(len, rows))
    ids = [[pad_id] * (longest - len(row)) + row for row in rows]
    return ids, [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
