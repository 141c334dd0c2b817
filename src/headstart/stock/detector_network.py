"""The network of a detector: a timm backbone's maps, a feature pyramid, FCOS's head. Does not import headstart.

Tian et al. 2019, "FCOS: Fully Convolutional One-Stage Object Detection", as torchvision has it: its pyramid, head, loss
and decoding of boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

OUTPUTS = ("cls_logits", "bbox_regression", "bbox_ctrness")  # as torchvision calls them
STRIDES = (8, 16, 32)  # pixels between neighbours in the backbone's maps
WIDTH = 128  # channels of pyramid and head
CONVOLUTIONS = 2  # in each of the head's two towers
SCORE_THRESHOLD = 0.03
OVERLAP_THRESHOLD = 0.55  # boxes of one class that share more than this (IoU) are one object
MOST_FOUND = 200  # in one square
CANDIDATES = 500  # for each level, before overlaps are looked at


def tapped_maps(model: Any) -> tuple[list[int], list[int], list[int]]:
    """Indices, strides and channels of the maps that a detector reads, of those that a timm model offers.

    One for each of the strides 8, 16 and 32, the deepest one; a model with a single stride gives its last map.
    """
    found: dict[int, tuple[int, int]] = {}
    for index, level in enumerate(model.feature_info):
        level = level if isinstance(level, dict) else vars(level)
        if level["reduction"] in STRIDES:
            found[level["reduction"]] = (index, level["num_chs"])
    strides = sorted(found)
    return [found[s][0] for s in strides], strides, [found[s][1] for s in strides]


class Taps(nn.Module):
    """A timm model's maps (B, C, H, W) by name: "stride8", "stride16", "stride32"."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.indices, self.strides, self.channels = tapped_maps(model)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        model: Any = self.model
        maps = model.forward_intermediates(
            image, indices=self.indices, norm=False, output_fmt="NCHW", intermediates_only=True
        )
        return {f"stride{stride}": values for stride, values in zip(self.strides, maps)}


class Detector(nn.Module):
    """A backbone's maps with a head on them: images (B, 3, side, side) to the head's outputs."""

    def __init__(self, taps: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.taps, self.head = taps, head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: tuple[torch.Tensor, ...] = self.head(self.taps(image))
        return found


class PyramidHead(nn.Module):
    """What is new for a task: pyramid and head. From the backbone's maps to class logits (B, L, K), box sides
    (B, L, 4) and centredness (B, L, 1), L places on all levels.
    """

    def __init__(self, strides: Sequence[int], channels: Sequence[int], n_classes: int) -> None:
        super().__init__()
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.fcos import FCOS, FCOSHead
        from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

        self.names = [f"stride{stride}" for stride in strides]
        self.pyramid = FeaturePyramidNetwork(list(channels), WIDTH, LastLevelP6P7(WIDTH, WIDTH))
        self.fcos = FCOSHead(WIDTH, 1, n_classes, CONVOLUTIONS)
        levels = [*strides, 2 * strides[-1], 4 * strides[-1]]
        stand_in: Any = nn.Identity()
        stand_in.out_channels = WIDTH
        anchors = AnchorGenerator(tuple((stride,) for stride in levels), ((1.0,),) * len(levels))
        # torchvision's rules for loss and boxes, without its network
        rules = FCOS(
            stand_in,
            n_classes,
            anchor_generator=anchors,
            head=self.fcos,
            score_thresh=SCORE_THRESHOLD,
            nms_thresh=OVERLAP_THRESHOLD,
            detections_per_img=MOST_FOUND,
            topk_candidates=CANDIDATES,
        )
        self.rules = (rules,)  # a tuple: its parameters are those of self.fcos
        self._anchors: dict[int, list[torch.Tensor]] = {}

    def forward(self, maps: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Class logits, box sides and centredness of all places on all levels."""
        found = self.fcos(list(self.pyramid({name: maps[name] for name in self.names}).values()))
        return tuple(found[name] for name in OUTPUTS)

    def anchors(self, side: int) -> list[torch.Tensor]:
        """For each level (H * W, 4): the square of one stride around each place of a picture, in pixels."""
        if side not in self._anchors:
            generator: Any = self.rules[0].anchor_generator
            generator.set_cell_anchors(torch.float32, torch.device("cpu"))
            strides = [size[0] for size in generator.sizes]
            places = [-(-side // stride) for stride in strides]
            steps = [[torch.tensor(stride)] * 2 for stride in strides]
            self._anchors[side] = generator.grid_anchors([[count, count] for count in places], steps)
        return self._anchors[side]

    def loss(self, maps: Mapping[str, torch.Tensor], targets: list[dict[str, torch.Tensor]], side: int) -> torch.Tensor:
        """FCOS's loss; targets: for each picture boxes (n, 4) in pixels and labels (n,)."""
        outputs = dict(zip(OUTPUTS, self(maps)))
        levels = self.anchors(side)
        anchors = [torch.cat(levels)] * len(targets)
        counts = [len(level) for level in levels]
        parts: dict[str, torch.Tensor] = self.rules[0].compute_loss(targets, outputs, anchors, counts)
        return torch.stack(list(parts.values())).sum()

    def found(self, outputs: Sequence[torch.Tensor], side: int) -> list[dict[str, torch.Tensor]]:
        """For each picture boxes (n, 4) in pixels of the square, scores and labels, best first."""
        levels = self.anchors(side)
        counts = [len(level) for level in levels]
        split = {name: list(values.split(counts, dim=1)) for name, values in zip(OUTPUTS, outputs)}
        batch = len(outputs[0])
        found: list[dict[str, torch.Tensor]] = self.rules[0].postprocess_detections(
            split, [levels] * batch, [(side, side)] * batch
        )
        return found
