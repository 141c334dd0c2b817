"""Freed memory is kept, so that a step that allocates what the step before freed causes no page faults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from headstart.allocator import ENVIRONMENT

STEPS = """
import resource, sys
from headstart.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "call" else False
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        bytearray(b"1") * 40_000_000  # 9,766 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(8): faults()
print(kept, faults())
"""


def run(how: str, **environment: str) -> tuple[str, int]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    told = subprocess.run(
        [sys.executable, "-c", STEPS, how], env={**clean, **environment}, capture_output=True, text=True, check=True
    ).stdout.split()
    return told[0], int(told[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_memory_that_was_freed_is_used_again() -> None:
    usual = run("leave")[1]
    told, faults = run("call")
    assert told == "True"
    assert 10 * faults < usual
    assert 10 * run("leave", **ENVIRONMENT)[1] < usual


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_what_the_user_told_malloc_stands() -> None:
    assert run("call", MALLOC_ARENA_MAX="2")[0] == "False"
