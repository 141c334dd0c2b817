"""Read a few inputs ahead of the network, on threads of their own. Does not import headstart."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


def read_ahead(read: Callable[[str], Any], inputs: list[str], at_most: int) -> Iterator[Any]:
    """read(input) for every input, in order, never more than `at_most` of them waiting in memory.

    What `read` raises is raised when its turn comes.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting: deque[Future[Any]] = deque()
        for value in inputs:
            if len(waiting) >= at_most:
                yield waiting.popleft().result()
            waiting.append(pool.submit(read, value))
        while waiting:
            yield waiting.popleft().result()
