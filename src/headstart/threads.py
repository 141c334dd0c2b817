"""Let threads that wait for each other give up their core soon: another job may need it, one of them even."""

from __future__ import annotations

import os

TURNS = 10_000  # of a loop that a thread of OpenMP spins for the others before it sleeps, some tens of microseconds

_ASKED_BY = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def wait_briefly() -> None:
    """Set how long threads of GNU's OpenMP spin, which torch and scikit-learn divide their work with.

    It spins for milliseconds by itself. Where another job has the other core, that keeps the very thread from running
    that is waited for. Read when torch is loaded: without effect after that, or where the user's environment says how.
    """
    if not any(name in os.environ for name in _ASKED_BY):
        os.environ["GOMP_SPINCOUNT"] = str(TURNS)
