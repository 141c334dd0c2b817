"""Where the cache lies."""

from __future__ import annotations

from pathlib import Path

from headstart.sources.cache_dir import cache_dir, models_dir


def test_the_environment_chooses_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    assert models_dir() == tmp_path / "models"


def test_the_default_is_in_the_home_folder(monkeypatch):
    monkeypatch.delenv("HEADSTART_CACHE", raising=False)
    assert cache_dir() == Path.home() / ".cache" / "headstart"


def test_a_tilde_is_expanded(monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", "~/elsewhere")
    assert cache_dir() == Path.home() / "elsewhere"
