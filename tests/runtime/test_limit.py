"""Operations are counted as the formulas have them; attention, which torch leaves out on a CPU, among them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from headstart.runtime.limit import matrix_product_rate, operations
from headstart.runtime.torch import compile_torch

BATCH, TOKENS, WIDTH, HEADS = 2, 12, 16, 4


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.convolution = nn.Linear(WIDTH, WIDTH), nn.Conv1d(WIDTH, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        parts = self.layer(x).reshape(BATCH, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)
        heard = nn.functional.scaled_dot_product_attention(parts, parts, parts).transpose(1, 2).flatten(2)
        return (self.convolution(heard.transpose(1, 2)),)


def test_products_convolutions_and_attention_count() -> None:
    run = compile_torch(_Block().eval(), ("x",))
    count, seconds = operations(run, {"x": np.zeros((BATCH, TOKENS, WIDTH), dtype=np.float32)})
    layer, attention, convolution = WIDTH * WIDTH, 2 * TOKENS * WIDTH, 3 * WIDTH * 8
    assert count == 2 * BATCH * TOKENS * (layer + attention + convolution)
    assert seconds > 0


def test_the_machine_computes() -> None:
    assert 1e8 < matrix_product_rate() < 1e15
