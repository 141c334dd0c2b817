"""Which file loads which kind of model."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from headstart.backbones.backbone import Backbone
from headstart.errors import ModelError
from headstart.types import Dataset, ModelSource

# (library, modality, kind of target) -> module with load(source), imported on use because each pulls in a heavy
# library; the file in headstart/stock that runs what was saved
LOADERS: dict[tuple[str, str, str], tuple[str, str]] = {
    ("timm", "image", "class"): ("headstart.backbones.timm", "timm_images.py"),
    ("transformers", "image", "boxes"): ("headstart.backbones.transformers_detection", "transformers_detector.py"),
    ("timm", "image", "boxes"): ("headstart.backbones.timm_detection", "timm_detector.py"),
    ("timm", "image", "labels"): ("headstart.backbones.timm", "timm_images.py"),
    ("transformers", "text", "class"): ("headstart.backbones.transformers_text", "transformers_texts.py"),
    ("transformers", "text", "labels"): ("headstart.backbones.transformers_text", "transformers_texts.py"),
    ("transformers", "audio", "class"): ("headstart.backbones.transformers_audio", "transformers_recordings.py"),
    ("transformers", "audio", "labels"): ("headstart.backbones.transformers_audio", "transformers_recordings.py"),
    ("transformers", "audio", "text"): ("headstart.backbones.transformers_speech", "transcripts.py"),
    ("transformers", "text", "text"): ("headstart.backbones.transformers_text_to_text", "text_to_text.py"),
}
GIVEN: dict[str, Callable[[Dataset], tuple[Any, ...]]] = {
    "headstart.backbones.transformers_text_to_text": lambda dataset: (dataset.task, dataset.columns),
    "headstart.backbones.timm_detection": lambda dataset: (dataset.framing,),
    "headstart.backbones.transformers_detection": lambda dataset: (dataset.framing,),
}
"""What load(source, …) of these modules also takes of the data: a prompt follows from it, or the size of pictures."""


def load_backbone(source: ModelSource, target_kind: str = "class", dataset: Dataset | None = None) -> Backbone:
    """Load a pretrained model as a backbone for targets of this kind, such as "class" or "text".

    dataset: what it is for. Raises ModelError for what has no loader, or what the loader raises.
    """
    module = _loader(source, target_kind)[0]
    load: Callable[..., Any] = import_module(module).load
    given = GIVEN[module](dataset) if dataset is not None and module in GIVEN else ()
    backbone: Backbone = load(source, *given)
    return backbone


def stock_script(source: ModelSource, target_kind: str = "class") -> str:
    """The file in headstart/stock that runs a saved model of this kind. Raises ModelError as load_backbone does."""
    return _loader(source, target_kind)[1]


def _loader(source: ModelSource, target_kind: str) -> tuple[str, str]:
    found = LOADERS.get((source.library, source.modality, target_kind))
    if found is None:
        raise ModelError(
            f"{source.id} is a {source.library} {source.modality} model, which cannot be tuned to {target_kind} "
            f"targets yet. Loadable: {', '.join(f'{lib} {modality} to {kind}' for lib, modality, kind in LOADERS)}."
        )
    return found
