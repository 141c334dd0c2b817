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

RUNS = 6  # in turns, of which the fastest counts
LEAST_GAIN = 1.3  # times the speed of before, over all shapes
LEAST_OF_ONE = 0.8  # times the speed for each shape
LARGEST_ERROR = 1e-5  # relative: sums of float32 products are exact to about 5e-7, of rounded factors to 3e-3
ONEDNN, BEFORE = "onednn", "default"
PRECISIONS = {ONEDNN: "medium", BEFORE: "highest"}  # by the names of torch.set_float32_matmul_precision
SETTLED = "HEADSTART_PRODUCTS"  # the environment's variable with what another process on this machine has settled

_measured: str | None = None
_current: str | None = None


def current() -> str:
    """How this process computes products: as settled, and settled now where it was not."""
    return _current or settle()


def settle(wanted: str | None = None) -> str:
    """Choose for this process how products are computed: "onednn", or "default"; returns that.

    wanted: one of them, as settled before, in another process perhaps; else what is faster here, which is measured
    once. "onednn" is only ever taken where it is exact. Convolutions are computed by oneDNN in any case.
    """
    global _measured, _current
    chosen = wanted or os.environ.get(SETTLED) or _measured
    if chosen not in PRECISIONS:
        chosen = _measured = _faster()
    elif chosen == ONEDNN != _measured and not _is_exact():
        chosen = BEFORE
    _current = chosen
    _set(chosen)
    return chosen


def _faster() -> str:
    """oneDNN, where that is exact and faster over some shapes, and for none of them clearly slower."""
    if not _is_exact():
        return BEFORE
    pairs = _factors()
    seconds = {how: [float("inf")] * len(pairs) for how in PRECISIONS}
    for _ in range(RUNS):
        for how, fastest in seconds.items():
            _set(how)
            for at, (product, left, right) in enumerate(pairs):
                begin = time.perf_counter()
                product(left, right)
                fastest[at] = min(fastest[at], time.perf_counter() - begin)
    _set(BEFORE)
    before, by_onednn = seconds[BEFORE], seconds[ONEDNN]
    none_slower = all(LEAST_OF_ONE * new <= old for old, new in zip(before, by_onednn))
    return ONEDNN if none_slower and sum(before) >= LEAST_GAIN * sum(by_onednn) else BEFORE


def _is_exact() -> bool:
    """Whether oneDNN's products are, of all shapes; False with a GPU, where the setting rounds to TensorFloat-32."""
    if torch.cuda.is_available():
        return False
    _set(ONEDNN)
    try:
        for product, left, right in _factors():
            exact = product(left.double(), right.double())
            if not float((product(left, right) - exact).norm() / exact.norm()) <= LARGEST_ERROR:
                return False
    finally:
        _set(BEFORE)
    return True


def _factors() -> list[tuple[Callable[..., torch.Tensor], torch.Tensor, torch.Tensor]]:
    """Products as networks have them: layers over many rows and over few, a gradient, attention."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=generator)

    rows, few, weight = drawn(1024, 384), drawn(8, 384), drawn(1024, 384)
    return [
        (torch.mm, rows, weight.T),
        (torch.mm, few, weight.T),
        (torch.mm, rows.T, drawn(1024, 512)),
        (torch.bmm, drawn(48, 128, 64), drawn(48, 64, 128)),
    ]


def _set(how: str) -> None:
    torch.set_float32_matmul_precision(PRECISIONS[how])
