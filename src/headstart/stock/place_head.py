"""A detector's head in closed form: one linear map for every place of the joined maps. Does not import headstart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

OVERLAP_THRESHOLD = 0.4
CANDIDATES = 400  # places looked at in a square
MOST_FOUND = 200
MIN_SCORE = 0.05
MOST_SURE = 0.98


class PlaceHead(nn.Module):
    """For each place of the finest map K scores, one for each class, and its object's box.

    weight: (K + 4, D). bias: (K + 4,). D: channels of all maps. The box is given by the offset of its centre in strides
    and by the logarithms of width and height in strides.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, strides: Sequence[int], channels: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.stride = strides[0]
        self.names = [f"stride{stride}" for stride in strides]
        self.n_classes = n_classes
        self.register_buffer("weight", torch.zeros(n_classes + 4, sum(channels)))
        self.register_buffer("bias", torch.zeros(n_classes + 4))

    def joined(self, maps: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """All maps at the finest one's places, (B, D, H, W)."""
        finest = maps[self.names[0]]
        others = [
            nn.functional.interpolate(maps[name], size=finest.shape[-2:], mode="bilinear", align_corners=False)
            for name in self.names[1:]
        ]
        return torch.cat([finest, *others], 1)

    def forward(self, maps: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Scores and boxes of all places, (B, K + 4, H, W)."""
        return (torch.einsum("kd,bdhw->bkhw", self.weight, self.joined(maps)) + self.bias[:, None, None],)

    def found(self, outputs: Sequence[torch.Tensor], side: int) -> list[dict[str, torch.Tensor]]:
        """For each picture boxes (n, 4) in pixels of the square, scores and labels, best first."""
        from torchvision.ops import batched_nms

        (values,) = outputs
        scores = values[:, : self.n_classes].clamp(0, MOST_SURE)
        peaks = scores == nn.functional.max_pool2d(scores, 3, 1, 1)  # of neighbours only the best
        scores = torch.where(peaks, scores, 0.0)
        height, width = scores.shape[-2:]
        rows: list[dict[str, torch.Tensor]] = []
        for score, box in zip(scores, values[:, self.n_classes :]):
            best, at = score.flatten().topk(min(CANDIDATES, score.numel()))
            at = at[best > MIN_SCORE]
            best = best[best > MIN_SCORE]
            label, place = at // (height * width), at % (height * width)
            x, y = place % width, place // width
            dx, dy, log_w, log_h = box[:, y, x]
            centre_x, centre_y = (x + 0.5 + dx) * self.stride, (y + 0.5 + dy) * self.stride
            half_w, half_h = (v.clamp(-2, 6).exp() * self.stride / 2 for v in (log_w, log_h))
            corners = torch.stack([centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h], 1)
            corners = corners.clamp(0, side)
            kept: Any = batched_nms(corners, best, label, OVERLAP_THRESHOLD)[:MOST_FOUND]
            rows.append({"boxes": corners[kept], "scores": best[kept], "labels": label[kept]})
        return rows
