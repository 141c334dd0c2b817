"""Threads wait briefly, unless the user's environment says how."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from headstart.threads import TURNS

LOOK = """
import json, os, sys, headstart
print(json.dumps([os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules]))
"""


@pytest.mark.parametrize(
    ("given", "spins", "policy"),
    [
        ({}, str(TURNS), None),
        ({"GOMP_SPINCOUNT": "7"}, "7", None),
        ({"OMP_WAIT_POLICY": "passive"}, None, "passive"),
    ],
)
def test_importing_headstart_sets_it_before_torch_is_loaded(
    given: dict[str, str], spins: str | None, policy: str | None
) -> None:
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", LOOK], env=clean | given, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [spins, policy, False]
