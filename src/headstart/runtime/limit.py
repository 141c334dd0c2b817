"""How near a way to run comes to the machine's own limit, the rate of large matrix products."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop

from headstart.runtime.engine import Batch, Run

SIDE = 1024  # of the matrices: large enough for the full rate
PRODUCTS = 6  # of which the fastest counts


def matrix_product_rate() -> float:
    """Floating-point operations per second of large products in float32."""
    a = torch.rand(SIDE, SIDE)
    seconds = []
    for _ in range(PRODUCTS):
        begin = time.perf_counter()
        torch.mm(a, a)
        seconds.append(time.perf_counter() - begin)
    return float(2 * SIDE**3 / min(seconds))


def operations(run: Run, batch: Batch) -> tuple[float, float]:
    """Floating-point operations of products and convolutions in one run by torch over this batch, and its seconds."""

    def attention(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **named: Any) -> Any:
        return sdpa_flop(query, key, value)

    # torch counts those of GPUs only
    more: dict[Any, Any] = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with FlopCounterMode(display=False, custom_mapping=more) as counter:
        begin = time.perf_counter()
        run(batch)
        seconds = time.perf_counter() - begin
    return float(counter.get_total_flops()), seconds
