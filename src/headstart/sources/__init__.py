"""Where pretrained weights come from: pip packages (catalog), the hub, a local folder, an earlier run."""

from __future__ import annotations

import difflib
from pathlib import Path

from headstart.errors import ModelError
from headstart.sources import hub, local, pip_package
from headstart.sources.catalog import CATALOG
from headstart.types import CatalogEntry, ModelSource, Reporter

__all__ = ["CATALOG", "get", "installed", "resolve"]


def resolve(model: str, offline: bool, reporter: Reporter) -> ModelSource:
    """Bring the model the user named onto this machine and describe it.

    model: catalog id (with or without "pip:"), local model folder, run folder, hub id ("owner/name" or
    "owner/name@revision") or bare timm name. offline: use only what is on this machine.
    Raises ModelError with the nearest catalog ids if nothing fits.
    """
    entry = _entry(model)
    if entry is not None:
        return _source(entry, _here(entry) if offline else pip_package.fetch(entry, reporter))
    folder = Path(model).expanduser()
    if folder.is_dir() and (_is_path(model) or local.is_model_folder(folder)):
        return local.describe(folder, model_id=model)
    if model.startswith("pip:") or _is_path(model):
        what = "is not in the catalog" if model.startswith("pip:") else "does not exist"
        raise ModelError(f"{model} {what}. {_nearest(model)}")
    return _from_hub(model, offline, reporter)


def get(model: str, reporter: Reporter) -> ModelSource:
    """Fetch a catalog model unless it is here, and describe it. Raises ModelError if the catalog has no such id."""
    entry = _entry(model)
    if entry is None:
        raise ModelError(f"{model} is not in the catalog. {_nearest(model)}")
    return _source(entry, pip_package.fetch(entry, reporter))


def installed() -> list[ModelSource]:
    """The catalog models that are on this machine, without asking the network or reading their weights."""
    here = [(entry, pip_package.model_folder(entry)) for entry in CATALOG.values()]
    return [_source(entry, folder) for entry, folder in here if (folder / pip_package.RECORD).is_file()]


def _entry(model: str) -> CatalogEntry | None:
    return CATALOG.get(model) or CATALOG.get(f"pip:{model}")


def _here(entry: CatalogEntry) -> Path:
    folder = pip_package.model_folder(entry)
    if not folder.is_dir():
        raise ModelError(f"{entry.id} is not on this machine. Run `headstart models get {entry.id}` while online.")
    pip_package.verify(folder)
    return folder


def _source(entry: CatalogEntry, folder: Path) -> ModelSource:
    return ModelSource(
        id=entry.id,
        folder=folder,
        library=entry.library,
        architecture=entry.architecture,
        modality=entry.modality,
        licence=entry.licence,
        source_domain=entry.source_domain,
        origin="pip",
        revision=entry.version,
    )


def _from_hub(model: str, offline: bool, reporter: Reporter) -> ModelSource:
    repo_id, _, revision = model.partition("@")
    try:
        folder = hub.fetch(repo_id, revision, offline, reporter)
    except ModelError as error:
        near = _matches(model)
        if "/" in model or not near:
            raise
        raise ModelError(f"{error} Did you mean {' or '.join(near)}?") from None
    # The snapshot's folder is named after the commit, which pins what was loaded.
    return local.describe(folder, model_id=model, origin="hub", revision=folder.name)


def _is_path(model: str) -> bool:
    """Whether the text can only mean a path, not a hub id."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model


def _matches(model: str) -> list[str]:
    names = {entry_id.removeprefix("pip:"): entry_id for entry_id in CATALOG}
    found = difflib.get_close_matches(model.removeprefix("pip:").lower(), names, n=2)
    return [names[name] for name in found]


def _nearest(model: str) -> str:
    near = _matches(model)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Give an existing folder, a hub id like owner/name, or one of: {', '.join(CATALOG)}."
