"""timm image backbones. The only file that imports timm.

Recipes: AdamW on the suffix with frozen batch-norm statistics; the rates lie between BiT's and LP-FT's (the head
starts from its closed-form solution, the suffix moves at about a tenth of a from-scratch rate), measured in
docs/log.md for the last block.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from headstart.backbones.adapters import adapter_for
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.cut_network import CutNetwork
from headstart.backbones.weights import weights_digest
from headstart.data import image
from headstart.data.augment import augmented
from headstart.errors import ModelError
from headstart.stock import torchvision_ops
from headstart.types import Example, ModelSource

_RECIPE = Recipe(
    learning_rate=5e-4,
    head_learning_rate=1e-4,
    batch_size=32,
    max_epochs=10,
    min_epochs=5,
    weight_decay=0.02,
    label_smoothing=0.1,
)
RECIPES = {
    "block": _RECIPE,
    "third": replace(_RECIPE, learning_rate=6e-4, layer_decay=0.8, max_epochs=24),
    # in fewer epochs it never paid on a few thousand images (docs/log.md)
    "all": replace(_RECIPE, learning_rate=2e-4, layer_decay=0.8, max_epochs=20, min_epochs=10),
    "lora": replace(_RECIPE, learning_rate=5e-4, max_epochs=20),
    "scratch": replace(
        _RECIPE, learning_rate=1e-3, head_learning_rate=1e-3, weight_decay=0.05, max_epochs=160, averaged_share=0.0
    ),
}
MIN_SUFFIX_SHARE = 0.05
WHOLE = 1.0  # share of a picture's shorter side that is looked at: edges may tell its class, ImageNet's tests cut them


class TimmBackbone:
    """A timm model from a local folder with config.json and model.safetensors."""

    features = ("native",)
    allow_l2 = {"native": False}  # noqa: RUF012
    without_bias: tuple[str, ...] = ()
    views = ("plain", "hflip", "vflip", "hvflip", "crop1", "crop2", "crop3", "crop4")
    unit = "image"
    reads_targets = False
    base_cut: str | None = None
    batch_budget = 8

    def __init__(self, source: ModelSource, model: nn.Module, weights_key: str) -> None:
        import timm

        self.source = source
        self.model = model.eval()
        config = timm.data.resolve_model_data_config(model)
        self.data_config: dict[str, Any] = {**config, "crop_mode": config.get("crop_mode", "center"), "crop_pct": WHOLE}
        self.transform = timm.data.create_transform(**self.data_config, is_training=False)
        adapter = adapter_for(model, self.data_config["input_size"])
        self._network = CutNetwork(adapter, RECIPES, source.id, "block", MIN_SUFFIX_SHARE)
        described = json.dumps(self.data_config | model_args(source), sort_keys=True, default=str)
        self.key = hashlib.sha256(
            f"{weights_key}|{source.architecture}|{described}|{timm.__version__}".encode()
        ).hexdigest()

    def encode(self, example: Example, view: str) -> Item:
        picture = augmented(image.load(example.input), view, example.digest)
        return {"image": self.transform(picture).numpy()}  # (3, H, W)

    def length(self, item: Item) -> int:
        del item
        return 1

    def cut_off(self, examples: Sequence[Example]) -> str:
        del examples
        return ""

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        return {"image": np.stack([item["image"] for item in items])}

    @property
    def depths(self) -> tuple[Depth, ...]:
        return self._network.depths

    def recipe(self, depth: Depth) -> Recipe:
        return self._network.recipe(depth)

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        return self._network.prefix(cuts)

    def suffix(self, cut: str | None) -> nn.Module:
        return self._network.suffix(cut)

    def live(self) -> nn.Module:
        network: nn.Module = self._network.live().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        return stacked(records)

    def randomised(self, seed: int, sample: Sequence[Item]) -> TimmBackbone:
        torch.manual_seed(seed)
        model = build(self.source)
        calibrate_batch_norm(model, torch.from_numpy(self.collate(sample)["image"]))
        backbone = TimmBackbone(self.source, model, weights_digest(model.state_dict()))
        backbone.data_config, backbone.transform = self.data_config, self.transform
        return backbone

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        assert head is not None, "an image classifier has a head"
        torch.manual_seed(0)
        model: Any = build(self.source, num_classes=len(classes))
        weights = dict(self.model.state_dict())
        classifier = model.get_classifier()
        prefix = next(name for name, module in model.named_modules() if module is classifier)
        weights = {name: value for name, value in weights.items() if not name.startswith(f"{prefix}.")}
        weights |= {name.removeprefix("model."): value for name, value in tuned.items()}
        weights[f"{prefix}.weight"] = _shaped_like(classifier.weight, head.weight)
        weights[f"{prefix}.bias"] = torch.from_numpy(np.asarray(head.bias, dtype=np.float32))
        model.load_state_dict(weights, strict=True)
        save_file(
            {k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors"
        )
        (folder / "config.json").write_text(
            json.dumps(self._config(model, prefix, classes), indent=2, ensure_ascii=False)
        )
        return "native"

    def _config(self, model: Any, classifier: str, classes: Sequence[str]) -> dict[str, Any]:
        pretrained = {
            k: v for k, v in model.pretrained_cfg.items() if isinstance(v, str | int | float | bool | list | tuple)
        }
        keep = ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")
        pretrained |= {k: self.data_config[k] for k in keep}
        drop = ("url", "file", "hf_hub_id", "hf_hub_filename", "source", "tag", "custom_load")
        pretrained = {k: v for k, v in pretrained.items() if k not in drop}
        return {
            "architecture": self.source.architecture,
            "num_classes": len(classes),
            "num_features": int(model.num_features),
            "label_names": list(classes),
            **model_args(self.source),
            "pretrained_cfg": {**pretrained, "num_classes": len(classes), "classifier": classifier},
        }


def model_args(source: ModelSource) -> dict[str, dict[str, Any]]:
    """What a timm folder's config.json says about the arguments that its architecture is built with; {} for none.

    The number of classes, which timm writes there as well, is left out: it changes with the head.
    """
    given = dict(json.loads((source.folder / "config.json").read_text()).get("model_args") or {})
    given.pop("num_classes", None)
    return {"model_args": given} if given else {}


def build(source: ModelSource, **changes: Any) -> nn.Module:
    """The architecture of a timm folder, with random weights."""
    import timm

    given = model_args(source).get("model_args", {})
    made: nn.Module = timm.create_model(source.architecture, pretrained=False, **(given | changes))
    return made


def stacked(records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
    """Inputs or states as a batch; images and maps in channels_last."""
    found = (torch.from_numpy(np.stack([record[name] for record in records])).float() for name in records[0])
    return tuple(x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in found)


def calibrate_batch_norm(model: nn.Module, images: torch.Tensor) -> None:
    """Give batch norm the statistics of these images, (B, 3, H, W); else random weights are a straw man."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]
    model.train()
    with torch.no_grad():
        model(images)
    model.eval()


def _shaped_like(parameter: torch.Tensor, weight: NDArray[np.float32]) -> torch.Tensor:
    """(C, D) -> the classifier's own shape: some families use a 1x1 convolution."""
    return torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32)).reshape(parameter.shape)


def load(source: ModelSource) -> TimmBackbone:
    """Load a timm folder.

    Raises ModelError where weights are missing, unsafe or do not fit the architecture.
    """
    torchvision_ops.ensure()
    config = json.loads((source.folder / "config.json").read_text())
    file = source.folder / "model.safetensors"
    try:
        weights = load_file(file) if file.is_file() else _load_bin(source.folder)
        classes = int(config.get("num_classes", 1000))
        settings = config.get("pretrained_cfg") or {}
        if "strides" in config:  # a detector that an earlier run saved
            weights = {k.removeprefix("backbone."): v for k, v in weights.items() if k.startswith("backbone.")}
            classes, settings = 0, {k: config[k] for k in ("mean", "std")}
        model: Any = build(source, num_classes=classes)
        model.pretrained_cfg.update(settings)
        model.load_state_dict(weights, strict=True)
    except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The weights in {source.folder} do not fit {source.architecture}: {str(error)[:300]}. "
            "Get the folder again, or name another model."
        ) from error
    backbone = TimmBackbone(source, model, weights_digest(weights))
    if (channels := backbone.data_config["input_size"][0]) != 3:
        raise ModelError(f"{source.id} takes images of {channels} channels, headstart gives three. Name another model.")
    return backbone


def _load_bin(folder: Path) -> dict[str, torch.Tensor]:
    file = folder / "pytorch_model.bin"
    if not file.is_file():
        raise ModelError(f"{folder} holds neither model.safetensors nor pytorch_model.bin.")
    loaded: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return loaded
