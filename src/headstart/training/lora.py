"""Low-rank changes to a network's matrices, merged into them after training (Hu et al. 2021, LoRA).

Works on any module, an exported graph too, because it parametrises weights and not layers. What is saved is an
ordinary checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from headstart.errors import SettingError

RANK = 16
ALPHA = 32.0
SMALLEST = 4 * RANK
"""Matrices with fewer rows or columns than this stay as they are: a low rank would save nothing."""

_FULL = ("head.",)  # trained in full


class _LowRank(nn.Module):
    """weight -> weight + (alpha / rank) B A; B starts at zero, so that training starts from the pretrained weight."""

    def __init__(self, weight: torch.Tensor, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.a = nn.Parameter(torch.randn(RANK, columns, generator=generator) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + (ALPHA / RANK) * (self.b @ self.a).view_as(weight)


def add_lora(module: nn.Module, seed: int) -> list[str]:
    """Freeze the network; train low-rank changes to its matrices, its norms and biases, and the head.

    Returns the names of the weights that were frozen, for `merge_lora`.
    Raises SettingError where no matrix is large enough.
    """
    generator = torch.Generator().manual_seed(seed)
    frozen: list[str] = []
    changed = 0
    for name, parameter in list(module.named_parameters()):
        if name.startswith(_FULL) or not parameter.requires_grad or parameter.dim() < 2:
            continue
        parameter.requires_grad_(False)
        frozen.append(name)
        if min(parameter.shape[0], parameter[0].numel()) >= SMALLEST and not _is_embedding(name):
            owner, _, attribute = name.rpartition(".")
            parametrize.register_parametrization(
                module.get_submodule(owner), attribute, _LowRank(parameter, generator), unsafe=True
            )
            changed += 1
    if not changed:
        raise SettingError(
            f"Low-rank changes need a matrix of at least {SMALLEST} rows and columns, and this network has none. "
            "Use --depth all."
        )
    return frozen


def merge_lora(module: nn.Module, frozen: Sequence[str]) -> None:
    """Add the changes to the weights they belong to; those weights have their own names again and may train."""
    for part in module.modules():
        if parametrize.is_parametrized(part):
            for name in list(part.parametrizations):  # type: ignore[union-attr, arg-type]
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    for name in frozen:
        module.get_parameter(name).requires_grad_(True)


def _is_embedding(name: str) -> bool:
    return any(part in name for part in ("embed", "wte", "wpe"))
