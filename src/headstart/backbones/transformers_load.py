"""Load parts of a transformers folder, and name its classes when it is saved again."""

from __future__ import annotations

import copy
import hashlib
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from headstart.errors import ModelError
from headstart.types import ModelSource

# what a checkpoint may lack: poolers and heads, which are replaced, and what only pretraining reads
_OPTIONAL = frozenset({"pooler", "projector", "classifier", "masked_spec_embed"})


def load_pretrained(
    kind: Any,
    source: ModelSource,
    what: str,
    weights: bool = False,
    optional: frozenset[str] = frozenset(),
    **settings: Any,
) -> tuple[Any, list[str]]:
    """kind.from_pretrained(folder), and the names of its weights that the folder lacks.

    kind: a transformers class; with weights a model's, in float32. what: the kind of model, in words. optional: further
    parts whose weights the folder may lack.
    Raises ModelError where the folder cannot be read as that kind, and where weights are missing that matter.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if weights:
        settings |= {"dtype": torch.float32, "output_loading_info": True}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")  # the stock loader has none either
            loaded = kind.from_pretrained(source.folder, local_files_only=True, **settings)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise ModelError(
            f"{source.folder} cannot be loaded as a {what}: {str(error)[:300]}. "
            "Name another model, or get the folder again."
        ) from error
    if not weights:
        return loaded, []
    model, report = loaded
    missing = sorted(report["missing_keys"])
    lacking = [name for name in missing if not (_OPTIONAL | optional) & set(name.split("."))]
    if lacking:
        raise ModelError(
            f"{source.folder} lacks {len(lacking)} weights of a {source.architecture} {what}, such as {lacking[0]}. "
            "Get the folder again, or name another model."
        )
    return model, missing


def tokenizer_key(tokenizer: Any) -> str:
    """A digest of what a tokenizer does: its serialised core, or the files that one without a core is saved as."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is not None:
        return hashlib.sha256(core.to_str().encode()).hexdigest()
    found = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="headstart-tokenizer-") as folder:
        tokenizer.save_pretrained(folder)
        for file in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            found.update(f"{file.name}|{file.stat().st_size}|".encode() + file.read_bytes())
    return found.hexdigest()


def labelled(config: Any, classes: Sequence[str]) -> Any:
    """A copy of the configuration that names the classes."""
    config = copy.deepcopy(config)
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: i for i, name in enumerate(classes)}
    return config
