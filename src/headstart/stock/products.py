"""Let torch compute matrix products by oneDNN in place of MKL, where that is faster and as exact.

On processors of AMD, MKL leaves AVX-512 unused. torch hands products of float32 values to oneDNN where it may round
their factors to bfloat16, and oneDNN computes in float32 all the same on processors without AMX; whether this one does
is looked at. This file imports nothing from headstart: scripts copy it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch

SIDE = 512  # of the matrices that are timed
RUNS = 8  # in turns, of which the fastest counts
LEAST_GAIN = 1.3  # times the speed of MKL, for it to be replaced
LARGEST_ERROR = 1e-5  # relative: sums of float32 products are exact to about 5e-7, of rounded factors to 3e-3
BEFORE, ONEDNN = "ieee", "bf16"

SETTLED = "PRODUCTS_GAIN"  # the environment's variable with what another process on this machine has measured

_gain: float | None = None


def take_faster() -> float:
    """Choose for this process; returns how many times as fast products are, 1.0 where nothing was changed.

    Calling it again changes nothing. Convolutions are computed by oneDNN in any case.
    """
    global _gain
    if _gain is None:
        usable = hasattr(torch.backends.mkldnn, "matmul") and not torch.cuda.is_available()
        _gain = (float(os.environ.get(SETTLED, 0)) or _measured()) if usable else 1.0
        if _gain > 1.0:
            _set(ONEDNN)
    return _gain


def _measured() -> float:
    """The gain, or 1.0 where it is too small or the answers are not exact."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(SIDE, SIDE, generator=generator) for _ in range(2))
    before = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    try:
        seconds = {how: float("inf") for how in (BEFORE, ONEDNN)}
        for _ in range(RUNS):
            for how in seconds:
                _set(how)
                begin = time.perf_counter()
                torch.mm(a, b)
                seconds[how] = min(seconds[how], time.perf_counter() - begin)
        gain = seconds[BEFORE] / seconds[ONEDNN]
        return gain if gain >= LEAST_GAIN and _is_exact(a, b) else 1.0
    finally:
        _set(before)


def _is_exact(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether products of some shapes are, also of transposed and of stacked matrices, and of few rows."""
    products: list[tuple[Callable[..., torch.Tensor], torch.Tensor, torch.Tensor]] = [
        (torch.mm, a, b),
        (torch.mm, a.T, b),
        (torch.mm, a[:48], b.T),
        (torch.bmm, a.view(8, 64, SIDE), b.view(8, SIDE, 64)),
    ]
    for product, left, right in products:
        exact = product(left.double(), right.double())
        if not float((product(left, right) - exact).norm() / exact.norm()) <= LARGEST_ERROR:
            return False
    return True


def _set(how: str) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = how  # type: ignore[attr-defined]
