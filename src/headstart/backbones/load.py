"""Which file loads which kind of model."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from headstart.backbones.backbone import Backbone
from headstart.errors import ModelError
from headstart.types import ModelSource

# (library, modality) -> module with load(source), imported on use because each pulls in a heavy library; the file in
# headstart/stock that runs what was saved
LOADERS: dict[tuple[str, str], tuple[str, str]] = {
    ("timm", "image"): ("headstart.backbones.timm", "timm_images.py"),
    ("transformers", "text"): ("headstart.backbones.transformers_text", "transformers_texts.py"),
    ("transformers", "audio"): ("headstart.backbones.transformers_speech", "whisper_recordings.py"),
}


def load_backbone(source: ModelSource) -> Backbone:
    """Load a pretrained model as a backbone.

    Raises ModelError for a library and modality that have no loader, or what the loader raises.
    """
    load: Callable[[ModelSource], Any] = import_module(_loader(source)[0]).load
    backbone: Backbone = load(source)
    return backbone


def stock_script(source: ModelSource) -> str:
    """The file in headstart/stock that runs a saved model of this kind. Raises ModelError as load_backbone does."""
    return _loader(source)[1]


def _loader(source: ModelSource) -> tuple[str, str]:
    found = LOADERS.get((source.library, source.modality))
    if found is None:
        raise ModelError(
            f"{source.id} is a {source.library} {source.modality} model, which cannot be tuned yet. "
            f"Loadable: {', '.join(f'{lib} {mod}' for lib, mod in LOADERS)}."
        )
    return found
