"""Digests of files, so that a damaged or exchanged one is noticed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from headstart.errors import ModelError
from headstart.sources.cache_dir import cache_dir

WEIGHT_PATTERNS = ("*.safetensors", "*.bin", "*.pth", "*.pt", "*.gguf")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_as_named(path: Path, name: str) -> bool:
    """Whether a file's content has the digest that the hub names it by: SHA-256 (large files) or that of a git blob.

    Other names say nothing, and are taken for right. Remembered like `weights_digest`.
    """
    if len(name) not in (40, 64) or set(name) - set("0123456789abcdef"):
        return True
    stamps, memory = [[path.name, path.stat().st_size, path.stat().st_mtime_ns]], _memory_of(path)
    if _remembered(memory) == {"stamps": stamps, "digest": name}:
        return True
    if len(name) == 64:
        found = file_digest(path)
    else:
        found = hashlib.sha1(b"blob %d\0" % path.stat().st_size + path.read_bytes(), usedforsecurity=False).hexdigest()
    if found == name:
        _remember(memory, {"stamps": stamps, "digest": name})
    return found == name


def weight_files(folder: Path) -> list[Path]:
    """The files directly inside folder that hold weights: safetensors if there are any, else other formats."""
    for pattern in WEIGHT_PATTERNS:
        found = sorted(path for path in folder.glob(pattern) if path.is_file() and not _is_training_state(path))
        if found:
            return found
    return []


def weights_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a model folder's weight files.

    Remembered under cache_dir() and computed again only when a file's size or time changes.
    Raises ModelError if the folder holds no weights.
    """
    files = weight_files(folder)
    if not files:
        raise ModelError(f"{folder} holds no weights. Give a folder with a model.safetensors.")
    stamps = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    memory = _memory_of(folder)
    known = _remembered(memory)
    if known.get("stamps") == stamps:
        return str(known["digest"])
    parts = "".join(f"{path.name} {file_digest(path)}\n" for path in files)
    digest = hashlib.sha256(parts.encode()).hexdigest()
    _remember(memory, {"folder": str(folder.resolve()), "stamps": stamps, "digest": digest})
    return digest


def _is_training_state(path: Path) -> bool:
    # Written beside the weights by the transformers Trainer; holds no weights of the model.
    return path.name in ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def _memory_of(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    return cache_dir() / "digests" / f"{name}.json"


def _remembered(memory: Path) -> dict[str, object]:
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(memory: Path, known: dict[str, object]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known))
    except OSError:
        # A cache that cannot be written costs a second hash next time, nothing else.
        return
