"""Fetch a model from the Hugging Face hub, or find it in the hub's local cache."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from headstart.errors import MachineError, ModelError
from headstart.sources.digest import is_as_named, weight_files
from headstart.types import Reporter

SETTINGS_FILES = ["*.json", "*.txt", "*.jinja", "*.model", "*.spm", "*.vocab", "README.md"]
SAFE_WEIGHTS = ["model.safetensors", "model-*.safetensors", "[0-9]_*/model.safetensors"]
PICKLED_WEIGHTS = ["pytorch_model.bin", "pytorch_model-*.bin"]
# Copies of the same weights for other engines.
OTHER_ENGINES = ["onnx/*", "openvino/*", "coreml/*", "tflite/*", "*.msgpack", "*.h5", "*.fp16.*"]


def fetch(repo_id: str, revision: str, offline: bool, reporter: Reporter) -> Path:
    """Return a local folder with the model's settings, tokenizer and weights, downloading what is missing.

    repo_id: "owner/name", "hf-hub:owner/name", or a bare timm or hub name. revision: "" means the default branch.
    offline: use only the hub's local cache. Honours HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN.
    Raises ModelError with what to do; a token never appears in it.
    """
    from huggingface_hub import constants

    repo_id = repository(repo_id)
    offline = offline or constants.HF_HUB_OFFLINE
    if not offline:
        reporter.say(f"Looking up {repo_id} on the hub.")
    folder = _snapshot(repo_id, revision, offline, SETTINGS_FILES + SAFE_WEIGHTS)
    if not weight_files(folder):
        # Pickled weights only where nothing safer exists; the loader reads them with weights_only=True.
        folder = _snapshot(repo_id, revision, offline, SETTINGS_FILES + PICKLED_WEIGHTS)
    if not weight_files(folder):
        raise ModelError(f"{repo_id} has no weights that can be read safely. Choose a model with a model.safetensors.")
    _verify(folder, repo_id)
    return folder


def _verify(folder: Path, repo_id: str) -> None:
    """Compare every file with the digest that the hub's cache stores it under; a damaged one is removed.

    Raises ModelError for the first of them.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        stored = file.resolve()
        if not is_as_named(stored, stored.name):
            file.unlink()
            stored.unlink(missing_ok=True)
            raise ModelError(
                f"{file.name} of {repo_id} arrived damaged: its content has another digest than the hub names. It was "
                "removed. Try again; if that does not help, a proxy on the way may change what is downloaded."
            )


def repository(model: str) -> str:
    """The hub's repository for what the user typed; bare timm names get timm's default weights ("resnet50")."""
    for prefix in ("hf-hub:", "hf_hub:"):
        model = model.removeprefix(prefix)
    if "/" in model:
        return model
    return _timm_repository(model) or model


def _timm_repository(name: str) -> str:
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()
    import timm

    if not timm.is_model(name):
        return ""
    settings = timm.get_pretrained_cfg(name, allow_unregistered=False)
    repo_id = str(settings.hf_hub_id or "") if settings else ""
    if not repo_id:
        known = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}*")[:5])
        raise ModelError(f"timm has no weights on the hub for {name!r}. {f'It has: {known}.' if known else ''}".strip())
    return f"{repo_id}{settings.architecture}.{settings.tag}" if repo_id.endswith("/") else repo_id


def _snapshot(repo_id: str, revision: str, offline: bool, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repo_id,
                revision=revision or None,
                local_files_only=offline,
                allow_patterns=patterns,
                ignore_patterns=OTHER_ENGINES,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except Exception as error:
        # Exception: the HTTP and transfer libraries below differ between hub versions, each with its own error types.
        # from None: their messages and tracebacks may carry request headers, hence the token.
        raise _explained(error, repo_id, revision, offline) from None


def _explained(error: Exception, repo_id: str, revision: str, offline: bool) -> ModelError | MachineError:
    """The library's error in our words: what is wrong with this model and how to mend it."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, errors.HfHubHTTPError):
        error = error.__cause__  # the hub answered with an error and nothing is in the cache
    if isinstance(error, errors.HFValidationError):
        return ModelError(f"{repo_id!r} is not a model name. Give a catalog id, a folder, or a hub id like owner/name.")
    if isinstance(error, errors.GatedRepoError):
        return ModelError(f"{repo_id} is gated. Accept its terms on its hub page, then set HF_TOKEN to your token.")
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(
            f"{repo_id} has no revision {revision!r} on the hub. Give one of its branches, tags or commits."
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _http_failure(error.response.status_code, repo_id)
    if isinstance(error, errors.LocalEntryNotFoundError) and offline:
        return ModelError(
            f"{repo_id} is not (or not completely) in the hub's local cache, and the hub may not be asked. "
            "Fetch it once without --offline (and without HF_HUB_OFFLINE), or give a local folder."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return MachineError(f"The disk is full: {repo_id} was not stored. Free some space or point HF_HOME elsewhere.")
    return ModelError(
        f"The hub cannot be reached to fetch {repo_id} ({type(error).__name__}). Check the network or proxy and try "
        "again, use a model of the catalog (`headstart models`), or give a local folder."
    )


def _http_failure(status: int, repo_id: str) -> ModelError:
    if status in (401, 404):
        fix = (
            "Your HF_TOKEN may lack access to it."
            if os.environ.get("HF_TOKEN")
            else "For a private model set HF_TOKEN to a token that may read it."
        )
        return ModelError(f"The hub has no public model {repo_id} (answer {status}). Check the spelling. {fix}")
    if status == 403:
        return ModelError(
            f"The hub refuses access to {repo_id} (answer 403). Set HF_TOKEN to a token that may read it."
        )
    if status == 429:
        return ModelError(
            f"The hub wants fewer requests (answer 429 for {repo_id}). Try again in some minutes, set HF_TOKEN to a "
            "token of yours, which may ask more often, or use a local folder."
        )
    return ModelError(f"The hub answered {status} for {repo_id}. Try again in some minutes, or use a local folder.")
