"""Shared fixtures: every test has a cache of its own and no hub."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    if "HEADSTART_CACHE" not in os.environ:
        monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process gets all tests of a file, which share what was fitted once; of the contract, all of a shape."""
    for item in items:
        fitted = item.callspec.params.get("fitted") if hasattr(item, "callspec") else None
        item.add_marker(pytest.mark.xdist_group(f"{item.path}|{getattr(fitted, 'name', '')}"))
