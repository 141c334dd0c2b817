"""Let threads that wait for each other give up their core soon: another job may need it, one of them even."""

from __future__ import annotations

import os
import sys

TURNS = 10_000  # of a loop that a thread of OpenMP spins for the others before it sleeps

_ASKED_BY = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def wait_briefly() -> None:
    """Set how long threads of GNU's OpenMP spin, with which torch and scikit-learn divide their work on Linux.

    It spins for milliseconds by itself. Where another job has the other core, that keeps the very thread from running
    that is waited for. Read when torch is loaded: nothing is set after that, or where the user's environment says how.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _ASKED_BY):
        os.environ["GOMP_SPINCOUNT"] = str(TURNS)
