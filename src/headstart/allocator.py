"""Let the C library keep the memory that tensors free: handing it back and getting it anew costs page faults."""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h's M_ constants
LARGEST_KEPT = 1 << 30  # bytes of one block that is taken from the heap
KEPT = (1 << 31) - 1  # free bytes at the heap's end that are not handed back
STEP = 64 << 20  # by which the heap grows

ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(LARGEST_KEPT),
    "MALLOC_TRIM_THRESHOLD_": str(KEPT),
    "MALLOC_TOP_PAD_": str(STEP),
}
"""The same for a process that is to be started."""


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks of up to 1 GiB; False where it is not glibc, or was told something by the user.

    Without it every tensor of more than 32 MiB, and many smaller ones, are mapped and unmapped in each step.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    options = ((_MMAP_THRESHOLD, LARGEST_KEPT), (_TRIM_THRESHOLD, KEPT), (_TOP_PAD, STEP))
    return all(mallopt(option, value) == 1 for option, value in options)
