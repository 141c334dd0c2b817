"""The run's one clock: it starts with the process and excludes network downloads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path


def seconds_since_process_start() -> float:
    """Wall seconds this process has existed (0 where the system does not tell)."""
    try:
        started_ticks = float(Path("/proc/self/stat").read_text().rsplit(") ", 1)[1].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, uptime_s - started_ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


class Clock:
    """Counts a run's seconds per stage against its budget."""

    def __init__(self, budget_seconds: float, already_spent: float = 0.0) -> None:
        self.budget_seconds = budget_seconds
        self.stages: dict[str, float] = {}
        self._start = time.monotonic() - already_spent
        self._excluded = 0.0

    def spent(self) -> float:
        """Seconds used so far, downloads excluded."""
        return time.monotonic() - self._start - self._excluded

    def left(self) -> float:
        """Seconds until the budget ends; negative when it is overrun."""
        return self.budget_seconds - self.spent()

    @contextlib.contextmanager
    def downloading(self) -> Iterator[None]:
        """Exclude the enclosed seconds from the budget."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._excluded += time.monotonic() - begin

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the enclosed seconds to a named stage."""
        begin = self.spent()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + self.spent() - begin
