"""A folder of stock loaders with one of the test's own, which the real driver runs without importing torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart import stock_process


def driven(folder: Path, monkeypatch: pytest.MonkeyPatch, loader: str) -> str:
    """Write the loader into the folder, which takes the place of headstart's; returns the file's name."""
    folder.mkdir(exist_ok=True)
    (folder / "driver.py").symlink_to(stock_process.STOCK / "driver.py")
    (folder / "torchvision_ops.py").write_text("def ensure():\n    return False\n")  # the real one imports torch
    (folder / "products.py").write_text("def current():\n    return 'default'\n")
    (folder / "loader.py").write_text(loader)
    monkeypatch.setattr(stock_process, "STOCK", folder)
    return "loader.py"
