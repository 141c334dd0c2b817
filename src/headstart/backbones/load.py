"""Which file loads which kind of model."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from headstart.backbones.backbone import Backbone
from headstart.errors import ModelError
from headstart.types import ModelSource

# (library, modality) -> module with load(source); imported on use: each pulls in a heavy library
LOADERS: dict[tuple[str, str], str] = {
    ("timm", "image"): "headstart.backbones.timm",
    ("transformers", "text"): "headstart.backbones.transformers_text",
    ("transformers", "audio"): "headstart.backbones.transformers_speech",
}


def load_backbone(source: ModelSource) -> Backbone:
    """Load a pretrained model as a backbone.

    Raises ModelError for a library and modality that have no loader, or what the loader raises.
    """
    name = LOADERS.get((source.library, source.modality))
    if name is None:
        raise ModelError(
            f"{source.id} is a {source.library} {source.modality} model, which cannot be tuned yet. "
            f"Loadable: {', '.join(f'{lib} {mod}' for lib, mod in LOADERS)}."
        )
    load: Callable[[ModelSource], Any] = import_module(name).load
    backbone: Backbone = load(source)
    return backbone
