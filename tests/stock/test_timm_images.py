"""Batch norm is folded where that changes nothing, and left alone where it would."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from headstart.stock import torchvision_ops
from headstart.stock.timm_images import fold_batch_norm


class _Swapped(nn.Module):
    """Declares a convolution before a batch norm and runs them the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(self.norm(x))
        return y


def trained_a_little(model: nn.Module) -> nn.Module:
    """With statistics that are not those of the start."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    model.train()(torch.randn(8, 3, 32, 32) * 3 + 1)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())


def from_timm(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        torchvision_ops.ensure()
        import timm

        made: nn.Module = timm.create_model(name, pretrained=False, num_classes=4)
        return made

    return make


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet10t"])
def test_folding_changes_no_answer(name: str) -> None:
    torch.manual_seed(0)
    model = trained_a_little(from_timm(name)())
    folded = fold_batch_norm(model, (3, 32, 32))
    x = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-3, atol=1e-3)
    assert norms(folded) < norms(model) / 2


def test_another_order_is_noticed() -> None:
    torch.manual_seed(0)
    model = trained_a_little(_Swapped())
    assert fold_batch_norm(model, (3, 8, 8)) is model
    assert norms(model) == 1
