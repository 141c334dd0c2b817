"""What a store is for, in plain words beside its shards."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

from headstart.feature_store.files import ABOUT, write_atomically


def write_about(folder: Path, about: Mapping[str, str]) -> None:
    """Write about.json with the time of writing as `created`, unless it is there and can be read.

    A disk that takes no more is no error here: features tell of it when they are written, and a store without
    about.json works.
    """
    if not read_about(folder):
        content = {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **about}
        with contextlib.suppress(OSError):
            write_atomically(folder / ABOUT, [json.dumps(content, indent=2, ensure_ascii=False).encode()])


def read_about(folder: Path) -> dict[str, str]:
    """The words of about.json; none where it is missing or damaged."""
    try:
        content = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {str(key): str(value) for key, value in content.items()}
