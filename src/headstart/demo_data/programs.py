"""Run another program and turn its failure into a sentence the user can act on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from headstart.errors import MachineError


def run_program(command: Sequence[str | Path], purpose: str, fix: str, cwd: Path | None = None) -> str:
    """Run `command` and return what it wrote to standard output.

    purpose: what the program was to do, for the message: "fetching the package lists".
    fix: what the user can do when it fails.
    Raises MachineError when the program cannot be started or returns non-zero.
    """
    words = [str(word) for word in command]
    # C.UTF-8: messages and lists are parsed, so the user's language must not change them.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, check=False)
    except OSError as error:
        raise MachineError(f"{purpose} failed: {words[0]} cannot be started ({error.strerror}). {fix}") from error
    if done.returncode != 0:
        said = last_lines(done.stderr.decode("utf-8", "replace") or done.stdout.decode("utf-8", "replace"))
        raise MachineError(f"{purpose} failed: {Path(words[0]).name} returned {done.returncode} ({said}). {fix}")
    return done.stdout.decode("utf-8", "replace")


def last_lines(output: str, lines: int = 3) -> str:
    """The last few non-empty lines of a program's output as one line, at most 400 characters."""
    kept = [line.strip() for line in output.splitlines() if line.strip()][-lines:]
    return " / ".join(kept)[-400:] or "it said nothing"
