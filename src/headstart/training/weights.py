"""Weights as plain tensors by name: keep them, put them back, go part of the way."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

Weights = dict[str, torch.Tensor]


def snapshot(module: nn.Module) -> Weights:
    """Copies of all trained parameters."""
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


def restore(module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Put back those weights that the module has; others stay as they are."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])


def blend(start: Mapping[str, torch.Tensor], end: Mapping[str, torch.Tensor], share: float) -> Weights:
    """The weights start + share x (end - start), on the straight line between both (Wortsman et al. 2022, WiSE-FT)."""
    return {name: torch.lerp(start[name], value, share) for name, value in end.items()}


def distance(start: Mapping[str, torch.Tensor], end: Mapping[str, torch.Tensor]) -> float:
    """How far tuning moved the weights, relative to their own size: |end - start| / |start|."""
    moved = sum(float((value - start[name]).square().sum()) for name, value in end.items())
    size = sum(float(value.square().sum()) for value in start.values())
    return float((moved / max(size, 1e-12)) ** 0.5)
