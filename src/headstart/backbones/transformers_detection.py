"""DETR and its family from transformers as detectors: the checkpoint's own head with new classes.

What comes before the transformer, a convolutional encoder, is the frozen part whose maps are cached. Classes that the
checkpoint knows by name keep their weights. Pictures (or tiles) are stretched to a square, as the saved image processor
does. Recipes: AdamW at 1e-4 and 1e-5 for the encoder, as published (Carion et al. 2020), averaged weights.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.squares import InSquares
from headstart.backbones.timm import stacked
from headstart.backbones.transformers_load import labelled, load_pretrained
from headstart.backbones.weights import weights_digest
from headstart.errors import ModelError
from headstart.stock import timm_detector, torchvision_ops, transformers_detector
from headstart.types import Example, Framing, ModelSource

ENCODER = "ConvEncoder"  # how the classes of the convolutional part end, in every family
MAPS = "maps"
_RECIPE = Recipe(
    learning_rate=1e-4, head_learning_rate=1e-4, batch_size=4, max_epochs=40, min_epochs=4, weight_decay=1e-4
)
RECIPES = {
    "block": _RECIPE,
    "all": replace(_RECIPE, learning_rate=2e-5, max_epochs=20),
    "lora": _RECIPE,
    "scratch": replace(_RECIPE, max_epochs=200, averaged_share=0.0),
}
STOCK_FILES = ("transformers_detector", "timm_detector", "detector_network", "decode", "regions", "side_by_side",
               "torchvision_ops")  # fmt: skip


class _CachedMaps(nn.Module):
    """In the place of the convolutional encoder: gives the maps that were cached, nothing of them masked."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: tuple[torch.Tensor, ...] = ()

    def forward(self, pixel_values: torch.Tensor, pixel_mask: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        del pixel_values, pixel_mask
        return [(m, torch.ones(len(m), *m.shape[-2:], dtype=torch.bool)) for m in self.maps]


class _Maps(nn.Module):
    """The convolutional encoder alone: images to a tuple of maps."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mask = torch.ones(image.shape[0], *image.shape[-2:], dtype=torch.int64)
        return tuple(found for found, _ in self.encoder(image, mask))


class DetrDetector(nn.Module):
    """A detection model that takes cached maps, or images where it has its own encoder."""

    def __init__(self, network: nn.Module, processor: Any, cached: _CachedMaps | None) -> None:
        super().__init__()
        self.network, self.processor, self.cached = network, processor, (cached,)

    def outputs(self, inputs: Sequence[torch.Tensor], side: int, labels: Any = None) -> Any:
        """The model's own outputs."""
        (cached,) = self.cached
        pixels = inputs[0]
        if cached is not None:
            cached.maps = tuple(inputs)
            pixels = torch.zeros(len(inputs[0]), 3, side, side)
        return self.network(pixel_values=pixels.contiguous(), labels=labels)

    def loss(self, inputs: Sequence[torch.Tensor], targets: list[dict[str, torch.Tensor]], side: int) -> torch.Tensor:
        """The family's own loss; targets: for each picture boxes (n, 4) in pixels and labels (n,)."""
        labels = []
        for target in targets:
            low, high = target["boxes"][:, :2] / side, target["boxes"][:, 2:] / side
            labels.append({"class_labels": target["labels"], "boxes": torch.cat([(low + high) / 2, high - low], 1)})
        loss: torch.Tensor = self.outputs(inputs, side, labels).loss
        return loss

    def found(self, inputs: Sequence[torch.Tensor], side: int) -> list[dict[str, torch.Tensor]]:
        """For each picture boxes (n, 4) in pixels of the square, scores and labels, best first."""
        return transformers_detector.boxes_of(self.processor, self.outputs(inputs, side), side)

    def carried(self) -> dict[str, torch.Tensor]:
        """All weights that it has."""
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take what another rung's network carried, as far as it reaches."""
        self.network.load_state_dict(weights, strict=False)


class DetrBackbone(InSquares):
    """A DETR of some kind. framing: how it sees pictures. closed_form: there is none for its queries."""

    features: tuple[str, ...] = ()
    allow_l2: dict[str, bool] = {}  # noqa: RUF012
    without_bias: tuple[str, ...] = ()
    reads_targets = False
    base_cut = MAPS
    batch_budget = 2
    closed_form = False
    strides: list[int] = []  # noqa: RUF012
    channels: list[int] = []  # noqa: RUF012

    def __init__(self, source: ModelSource, model: Any, processor: Any, framing: Framing) -> None:
        super().__init__(framing, {**framing.to_json(), "stretch": True})
        self.source = source
        self.model = model.eval()
        self.processor = _squared(processor, framing.side)
        self._encoder = next((n for n, m in model.named_modules() if type(m).__name__.endswith(ENCODER)), "")
        if not self._encoder:
            raise ModelError(
                f"{source.id} is a {source.architecture} model, which has no convolutional encoder of its own. Name a "
                "DETR, Conditional DETR, Deformable DETR or RT-DETR, or a timm model."
            )
        described = f"{weights_digest(model.state_dict())}|{json.dumps(self.config)}|{self.processor.to_dict()}"
        self.key = hashlib.sha256(described.encode()).hexdigest()

    @property
    def depths(self) -> tuple[Depth, ...]:
        own = sum(p.numel() for p in self.model.get_submodule(self._encoder).parameters())
        share = 1 - own / sum(p.numel() for p in self.model.parameters())
        return (
            Depth("block", "transformer and heads", MAPS, max(0.2, share)),
            Depth("all", "whole network", None, 1.0),
        )

    def encode(self, example: Example, view: str) -> Item:
        picture = self.picture(example, view)
        return {"image": _pixels(self.processor, transformers_detector.padded(picture, self.config))}

    def recipe(self, depth: Depth) -> Recipe:
        return RECIPES[depth.name]

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        """The maps, whatever the cuts: there is one."""
        del cuts
        module = _Maps(copy.deepcopy(self.model.get_submodule(self._encoder))).eval()
        with torch.inference_mode():
            count = len(module(torch.zeros(1, 3, self.framing.side, self.framing.side)))
        names = tuple(f"map{n}" for n in range(count))
        shapes = {"image": {0: torch.export.Dim("batch", min=1, max=4096)}}
        return Prefix(module, ("image",), names, {MAPS: names}, dict.fromkeys(names, ()), shapes)

    def suffix(self, cut: str | None) -> nn.Module:
        raise NotImplementedError("a detector is built by detector()")

    def live(self) -> nn.Module:
        raise NotImplementedError("a detector is built by detector()")

    def detector(self, cut: str | None, classes: Sequence[str], is_live: bool) -> DetrDetector:
        """A trainable copy behind the cut, with a class head for these classes."""
        del is_live
        network = with_classes(self.model, classes)
        cached = None
        if cut is not None:
            cached = _CachedMaps()
            parent, _, name = self._encoder.rpartition(".")
            setattr(network.get_submodule(parent), name, cached)
        else:
            network.requires_grad_(True)
        return DetrDetector(network.eval(), self.processor, cached)

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        return stacked(records)

    def randomised(self, seed: int, sample: Sequence[Item]) -> DetrBackbone:
        del sample
        torch.manual_seed(seed)
        return DetrBackbone(self.source, type(self.model)(self.model.config), self.processor, self.framing)

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        raise NotImplementedError("a detector is saved by save_detector")

    def save_detector(
        self, folder: Path, tuned: Mapping[str, torch.Tensor], module: nn.Module | None, classes: Sequence[str],
        threshold: float,
    ) -> str:  # fmt: skip
        """Write a stock checkpoint with its image processor, and headstart_detector.json for tiles and threshold.

        tuned: parameters by the model's own names. threshold: score from which a box counts.
        """
        del module
        network = with_classes(self.model, classes)
        network.load_state_dict(dict(tuned), strict=False)
        network.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        content = {**self.config, "label_names": list(classes), "threshold": threshold}
        (folder / "headstart_detector.json").write_text(json.dumps(content, indent=2, ensure_ascii=False))
        for name in STOCK_FILES:
            shutil.copy(Path(timm_detector.__file__).with_name(f"{name}.py"), folder)
        return "native"


def with_classes(model: Any, classes: Sequence[str]) -> Any:
    """A copy of the model with these classes; those that it knows by name keep their weights, and so does what comes
    after the last class ("no object").
    """
    known = {str(name).lower(): int(n) for n, name in model.config.id2label.items()}
    if [known.get(name.lower()) for name in classes] == list(range(len(known))):
        return copy.deepcopy(model)
    torch.manual_seed(0)
    fresh = type(model)(labelled(model.config, classes))
    old, new = model.state_dict(), fresh.state_dict()
    for name, value in new.items():
        if old[name].shape == value.shape:
            value.copy_(old[name])
            continue
        extra = len(value) - len(classes)  # rows behind the classes
        for row, label in enumerate(classes):
            if label.lower() in known and known[label.lower()] < len(old[name]):
                value[row] = old[name][known[label.lower()]]
        if extra > 0:
            value[-extra:] = old[name][-extra:]
    fresh.load_state_dict(new)
    return fresh


def _squared(processor: Any, side: int) -> Any:
    """The image processor, for squares of that side."""
    processor = copy.deepcopy(processor)
    processor.size = type(processor.size)(height=side, width=side) if not isinstance(processor.size, dict) else {
        "height": side, "width": side}  # fmt: skip
    processor.do_resize, processor.do_pad = True, False
    return processor


def _pixels(processor: Any, picture: Image.Image) -> NDArray[np.float32]:
    found = processor(images=picture, return_tensors="np")["pixel_values"][0]
    return np.asarray(found, dtype=np.float32)  # (3, side, side)


def load(source: ModelSource, framing: Framing | None = None) -> DetrBackbone:
    """Load a folder with a detection model and its image processor.

    Raises ModelError where it is none, or weights are missing.
    """
    torchvision_ops.ensure()
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    model, _ = load_pretrained(AutoModelForObjectDetection, source, "detection model", weights=True)
    processor, _ = load_pretrained(AutoImageProcessor, source, "detection model's image processor")
    return DetrBackbone(source, model, processor, framing or Framing(640))
