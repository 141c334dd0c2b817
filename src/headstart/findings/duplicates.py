"""Copies and near copies among the rows, and whether their labels agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from headstart.types import Example


class Copy(NamedTuple):
    """Positions of a later row and the first one with the same content; exact: the content is equal to the bit."""

    row: int
    first: int
    exact: bool
    conflict: bool


def copies(examples: Sequence[Example], rows: Sequence[int], with_targets: bool) -> list[Copy]:
    """Each of these rows that repeats an earlier one; those whose targets differ come first, then exact copies.

    Leaving out what is listed leaves one row of each set. with_targets: whether differing targets are a conflict.
    """
    sets: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        sets[examples[row].near or examples[row].digest].append(row)
    found = []
    for members in sets.values():
        first = {examples[r].digest: r for r in reversed(members)}
        for row in members[1:]:
            exact = first[examples[row].digest] != row
            other = first[examples[row].digest] if exact else members[0]
            conflict = with_targets and examples[row].target != examples[other].target
            found.append(Copy(row, other, exact, conflict))
    return sorted(found, key=lambda c: (not c.conflict, not c.exact, c.row))
