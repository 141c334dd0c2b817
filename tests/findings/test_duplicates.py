"""Copies name the first row of their set; differing labels come first."""

from headstart.findings.duplicates import copies
from headstart.types import Example


def row(name, digest, near, target="a"):
    return Example(name, name, target, near, digest, near=near)


def test_exact_near_and_conflicting_copies():
    rows = [row("0", "x", "n"), row("1", "y", "m"), row("2", "x", "n"), row("3", "z", "n"), row("4", "y", "m", "b"),
            row("5", "w", "w")]  # fmt: skip
    found = copies(rows, range(6), True)
    assert [(c.row, c.first, c.exact, c.conflict) for c in found] == [
        (4, 1, True, True), (2, 0, True, False), (3, 0, False, False)]  # fmt: skip
    assert not any(c.conflict for c in copies(rows, range(6), False))
