"""The loop that benchmarks pretrain small networks with, for as long as they are given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import nn


def pretrain_for(
    model: nn.Module,
    minutes: float,
    loss_of: Callable[[], torch.Tensor],
    rate: float,
    warmup: int,
    decay: float,
    what: str,
) -> None:
    """AdamW with a warm-up of so many steps and a cosine over the time. loss_of: draws a batch, gives its loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    begin, steps, seconds = time.perf_counter(), 0, 60 * minutes
    model.train()
    while (spent := time.perf_counter() - begin) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (steps + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * spent / seconds))
        loss = loss_of()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
        if steps % 100 == 0:
            print(f"{what}: {spent:.0f} s, {steps} steps, loss {loss.item():.2f}", flush=True)
    model.eval()
