"""Weights of a whole model: their digest, and a copy with tuned ones in it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def weights_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types and bytes of all weights and buffers, so that no other network has the same."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}".encode())
        if value.numel():
            digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def with_tuned(model: M, tuned: Mapping[str, torch.Tensor]) -> M:
    """A copy of the model with these weights, named as in an adapter's module ("model.…").

    Copied into the parameters themselves: in a state dict a tied weight has a second name, and the old value under it
    could win.
    """
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for name, value in tuned.items():
            copied.get_parameter(name.removeprefix("model.")).copy_(value)
    return copied
