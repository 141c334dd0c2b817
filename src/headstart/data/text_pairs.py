"""What is odd about pairs of texts: answers that copy their source, and lengths that do not belong together."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from headstart.data.text import normalise
from headstart.types import Example

FAR = 6.0  # times the usual ratio of lengths, from which a pair is odd
SHOWN = 3
MIN_CHARACTERS = 20  # of the longer side: of a word or two the ratio says nothing
MIN_PAIRS = 20


def pair_notes(examples: Sequence[Example]) -> list[str]:
    """Sentences on copies and odd lengths, with the first rows they are found in; nothing is left out for it."""
    notes = []
    same = [e for e in examples if normalise(e.input) == normalise(e.target or "")]
    if same:
        notes.append(f"{len(same)} of {len(examples)} targets are the same as their source ({_named(same)})")
    ratios = [len(e.target or "") / max(1, len(e.input)) for e in examples]
    usual = median(ratios) if ratios else 1.0
    odd = [
        e
        for e, ratio in zip(examples, ratios)
        if max(len(e.input), len(e.target or "")) >= MIN_CHARACTERS and not usual / FAR <= ratio <= usual * FAR
    ]
    if odd and len(examples) >= MIN_PAIRS:
        notes.append(
            f"{len(odd)} of {len(examples)} targets are more than {FAR:g} times longer or shorter, measured by their "
            f"source, than the middle one ({_named(odd)}): rows may have slipped"
        )
    return notes


def _named(examples: Sequence[Example]) -> str:
    more = ", …" if len(examples) > SHOWN else ""
    return ", ".join(e.id for e in examples[:SHOWN]) + more
