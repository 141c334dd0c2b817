"""timm image backbones as the lower part of a detector: their maps at strides 8, 16 and 32 are the features.

Recipes: AdamW, batch-norm statistics frozen; the new pyramid and head learn at 1e-3, the backbone at a tenth to a fifth
of that. Pyramid and head alone are the first rung; deeper ones go on from the head that it trained.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from headstart.backbones import timm as timm_images
from headstart.backbones.adapters import maps_adapter
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.cut_network import CutNetwork
from headstart.backbones.squares import InSquares
from headstart.backbones.weights import weights_digest
from headstart.errors import ModelError
from headstart.stock import detector_network, timm_detector
from headstart.types import Example, Framing, ModelSource

TAPS = "maps"
_RECIPE = Recipe(
    learning_rate=2e-4, head_learning_rate=1e-3, batch_size=4, max_epochs=24, min_epochs=6, weight_decay=0.02
)
RECIPES = {
    "head": replace(_RECIPE, max_epochs=16),
    "block": replace(_RECIPE, head_learning_rate=5e-4),
    "third": replace(_RECIPE, head_learning_rate=5e-4, layer_decay=0.9),
    "all": replace(_RECIPE, head_learning_rate=5e-4, layer_decay=0.9),
    "lora": replace(_RECIPE, learning_rate=5e-4, head_learning_rate=5e-4),
    "scratch": replace(_RECIPE, learning_rate=1e-3, max_epochs=160, averaged_share=0.0),
}
STOCK_FILES = (
    "timm_detector",
    "detector_network",
    "place_head",
    "decode",
    "regions",
    "side_by_side",
    "torchvision_ops",
    "detect",
)


class TimmDetection(InSquares):
    """A timm model whose maps a detector reads. framing: how it sees pictures."""

    closed_form = True
    features: tuple[str, ...] = ()
    allow_l2: dict[str, bool] = {}  # noqa: RUF012
    without_bias: tuple[str, ...] = ()
    reads_targets = False
    base_cut = TAPS
    batch_budget = 4

    def __init__(self, source: ModelSource, model: nn.Module, weights_key: str, framing: Framing) -> None:
        self.source = source
        self.model = model.eval()
        taps = detector_network.Taps(model)
        self.strides, self.channels = taps.strides, taps.channels
        if not self.strides:
            raise ModelError(f"{source.id} has no feature maps at strides 8, 16 or 32. Name a convolutional network.")
        super().__init__(framing, self._config(framing))
        self._network = CutNetwork(maps_adapter(taps, framing.side), RECIPES, source.id, "block", 0.05)
        described = json.dumps({k: v for k, v in self.config.items() if k != "overlap"}, sort_keys=True, default=str)
        self.key = hashlib.sha256(f"{weights_key}|{described}|detector".encode()).hexdigest()

    def _config(self, framing: Framing) -> dict[str, Any]:
        import timm

        data: dict[str, Any] = timm.data.resolve_model_data_config(self.model)
        return {
            "architecture": self.source.architecture,
            **timm_images.model_args(self.source),
            "strides": list(self.strides),
            "mean": list(data["mean"]),
            "std": list(data["std"]),
            **framing.to_json(),
        }

    def encode(self, example: Example, view: str) -> Item:
        picture = self.picture(example, view)
        values: torch.Tensor = timm_detector.squared(picture, self.square(example), self.config)
        return {"image": values.numpy()}  # (3, side, side)

    def detector(self, cut: str | None, classes: Sequence[str], is_live: bool) -> MapDetector:
        """A trainable network behind the cut with a new pyramid and head. is_live: batch norm is at work."""
        head = detector_network.PyramidHead(self.strides, self.channels, len(classes))
        return MapDetector(self.live() if is_live else self.suffix(cut), head)

    @cached_property
    def depths(self) -> tuple[Depth, ...]:
        deeper = self._network.depths
        own = self._network.multiply_adds
        head = _head_multiply_adds(self.framing.side, self.strides, self.channels)
        share = head / (head + own)
        first = Depth("head", "feature pyramid and head", TAPS, share)
        return (first, *(replace(d, compute_share=share + (1 - share) * d.compute_share) for d in deeper))

    def recipe(self, depth: Depth) -> Recipe:
        return RECIPES[depth.name]

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        found = self._network.prefix([cut for cut in cuts if cut != TAPS])
        if TAPS not in cuts:
            return found
        maps = tuple(f"stride{stride}" for stride in self.strides)
        return replace(found, states={TAPS: maps, **found.states}, ragged={**dict.fromkeys(maps, ()), **found.ragged})

    def suffix(self, cut: str | None) -> nn.Module:
        """Takes a cut's state (or images) and gives the maps by name."""
        return _Named(self.strides) if cut == TAPS else self._network.suffix(cut)

    def live(self) -> nn.Module:
        network: nn.Module = self._network.live().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        return timm_images.stacked(records)

    def randomised(self, seed: int, sample: Sequence[Item]) -> TimmDetection:
        torch.manual_seed(seed)
        model: Any = timm_images.build(self.source)
        model.pretrained_cfg = self.model.pretrained_cfg
        images = torch.from_numpy(self.collate(sample)["image"])
        timm_images.calibrate_batch_norm(detector_network.Taps(model), images)
        return TimmDetection(self.source, model, weights_digest(model.state_dict()), self.framing)

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        raise NotImplementedError("a detector is saved by save_detector")

    def save_detector(
        self,
        folder: Path,
        tuned: Mapping[str, torch.Tensor],
        module: nn.Module,
        classes: Sequence[str],
        threshold: float,
    ) -> str:
        """Write weights, config.json and the loader's files, so that the folder runs without headstart.

        module: a `MapDetector` or a `PlaceHead`. tuned: backbone parameters by the names that they have in `Taps`.
        threshold: score from which a box counts.
        """
        head = module.head if isinstance(module, MapDetector) else module
        torch.manual_seed(0)
        model: Any = timm_images.build(self.source)
        model.reset_classifier(0)
        weights = dict(self.model.state_dict()) | {k.removeprefix("model."): v for k, v in tuned.items()}
        kept = {f"backbone.{name}": weights[name] for name in model.state_dict()}
        kept |= {f"head.{name}": value for name, value in head.state_dict().items()}
        save_file({k: v.detach().clone().contiguous() for k, v in kept.items()}, folder / "model.safetensors")
        kind = "fcos" if isinstance(head, detector_network.PyramidHead) else "places"
        config = {**self.config, "head": kind, "label_names": list(classes), "threshold": threshold}
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False))
        for name in STOCK_FILES:
            shutil.copy(Path(timm_detector.__file__).with_name(f"{name}.py"), folder)
        return "portable"


class MapDetector(nn.Module):
    """The upper part of a backbone (network), with pyramid and head."""

    def __init__(self, network: nn.Module, head: detector_network.PyramidHead) -> None:
        super().__init__()
        self.network = network
        self.head: Any = head.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, inputs: Sequence[torch.Tensor], targets: list[dict[str, torch.Tensor]], side: int) -> torch.Tensor:
        """FCOS's loss; targets: for each picture boxes (n, 4) in pixels and labels (n,)."""
        loss: torch.Tensor = self.head.loss(self.network(*inputs), targets, side)
        return loss

    def found(self, inputs: Sequence[torch.Tensor], side: int) -> list[dict[str, torch.Tensor]]:
        """For each picture boxes (n, 4) in pixels of the square, scores and labels, best first."""
        found: list[dict[str, torch.Tensor]] = self.head.found(self.head(self.network(*inputs)), side)
        return found

    def carried(self) -> dict[str, torch.Tensor]:
        """Weights of pyramid and head, from which the next rung goes on."""
        return {name: value.detach().clone() for name, value in self.head.state_dict().items()}

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take what another rung carried."""
        self.head.load_state_dict(weights)


class _Named(nn.Module):
    """Maps by name, as they come."""

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        self.names = [f"stride{stride}" for stride in strides]

    def forward(self, *maps: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(zip(self.names, maps))


def _head_multiply_adds(side: int, strides: Sequence[int], channels: Sequence[int]) -> float:
    width = detector_network.WIDTH
    places = [(side // stride) ** 2 for stride in strides]
    pyramid = sum(p * width * (c + 9 * width) for p, c in zip(places, channels))
    towers = sum(places) * 2 * detector_network.CONVOLUTIONS * 9 * width**2
    return float(pyramid + towers)


def load(source: ModelSource, framing: Framing | None = None) -> TimmDetection:
    """Load a timm folder for detection.

    Raises ModelError where weights are missing or do not fit, or the model gives no maps.
    """
    loaded = timm_images.load(source)
    if not hasattr(loaded.model, "forward_intermediates"):
        raise ModelError(f"{source.id} ({source.architecture}) gives no feature maps. Name another timm model.")
    return TimmDetection(source, loaded.model, weights_digest(loaded.model.state_dict()), framing or Framing(416))
