"""Where files that can be fetched or computed again are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """$HEADSTART_CACHE, or ~/.cache/headstart. The folder need not exist yet."""
    chosen = os.environ.get("HEADSTART_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "headstart"


def models_dir() -> Path:
    """Folder with one folder per catalog model on this machine."""
    return cache_dir() / "models"
