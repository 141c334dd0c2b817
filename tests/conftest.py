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
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name}|{getattr(fitted, 'name', '')}"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop where xdist does not see the groups, as with pytest 9.2 and xdist 3.8: shared fits would be made twice."""
    if getattr(session.config.option, "loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not see the groups of tests/conftest.py: install constraints.txt")
