"""Progress on a terminal as a bar with the time left; elsewhere as plain lines, a few per stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from headstart.budget import Clock
from headstart.types import Reporter

T = TypeVar("T")
PLAIN_SECONDS = 10.0  # between two plain lines of one stage
FORETELLING_SHARE = 0.02  # done before the time left is told: the first items may come late, and many at once


def make_reporter(clock: Clock | None = None, quiet: bool = False) -> Reporter:
    """A bar where standard error is a terminal, plain lines where it is not."""
    if quiet:
        from headstart.types import Silent

        return Silent()
    return TerminalReporter(clock) if sys.stderr.isatty() else PlainReporter(clock)


def _left(clock: Clock | None) -> str:
    return f"[{clock.spent():4.0f} s of {clock.budget_seconds:.0f}] " if clock else ""


class PlainReporter:
    """Lines on standard error, each with the time spent."""

    def __init__(self, clock: Clock | None) -> None:
        self.clock = clock

    def say(self, message: str) -> None:
        print(f"{_left(self.clock)}{message}", file=sys.stderr, flush=True)  # noqa: T201

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        total = total if total is not None else len(items) if isinstance(items, Sized) else None
        begin = last = time.monotonic()
        done = 0
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if now - last > PLAIN_SECONDS and total and done >= FORETELLING_SHARE * total:
                left = (now - begin) / done * (total - done)
                self.say(f"{description}: {done} of {total}, about {left:.0f} s left")
                last = now
        self.say(f"{description}: {done} done in {time.monotonic() - begin:.1f} s")


class TerminalReporter:
    """A rich progress bar; sentences above it."""

    def __init__(self, clock: Clock | None) -> None:
        from rich.console import Console

        self.clock = clock
        self.console = Console(stderr=True, highlight=False)

    def say(self, message: str) -> None:
        from rich.text import Text

        self.console.print(Text.assemble((_left(self.clock), "dim"), message))

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        total = total if total is not None else len(items) if isinstance(items, Sized) else None
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(escape(description), total=total)
            for item in items:
                yield item
                progress.advance(task)
