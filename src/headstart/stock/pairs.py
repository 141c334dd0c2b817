"""Two texts that are judged together, as one, with a record separator between. Does not import headstart."""

from __future__ import annotations

from typing import Any

SEPARATOR = "\x1e"  # ASCII's record separator: no text holds it


def tokens(tokenizer: Any, texts: list[str], **settings: Any) -> list[list[int]]:
    """Token numbers of texts and of pairs; between the two of a pair stands what the tokenizer puts there, a line end
    where it puts nothing.
    """
    if not any(SEPARATOR in text for text in texts):
        found: list[list[int]] = tokenizer(texts, **settings)["input_ids"]
        return found
    marks = tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(pair=False)
    rows = []
    for text in texts:
        first, _, second = text.partition(SEPARATOR)
        given = (first, second) if second and marks else (f"{first}\n{second}" if second else first,)
        rows.append(list(tokenizer(*given, **settings)["input_ids"]))
    return rows
