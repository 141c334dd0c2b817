"""The torch engine: always there, and the reference for every other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.runtime.engine import Batch, Run

REFERENCE = "contiguous"


def device_name() -> str:
    """Name of the best device: cuda where torch sees a GPU, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe_device() -> str:
    """The device as a report names it."""
    return str(torch.cuda.get_device_name()) if device_name() == "cuda" else f"CPU, {os.cpu_count()} cores"


def half_precision() -> str | None:
    """The 16-bit arithmetic that a GPU gains from; None where there is no GPU."""
    if device_name() != "cuda":
        return None
    return "bf16" if torch.cuda.is_bf16_supported() else "f16"


def settings(sample: Batch) -> dict[str, str]:
    """Ways to run that are worth timing, the reference first -> the precision that each computes in."""
    found = {REFERENCE: "f32"}
    if any(value.ndim == 4 for value in sample.values()):
        found["channels_last"] = "f32"
    if half := half_precision():
        found |= {f"{layout} autocast": half for layout in tuple(found)}
    return found


def compile_torch(
    module: nn.Module, input_names: Sequence[str], setting: str = REFERENCE, precision: str = "f32"
) -> Run:
    """Run the module in inference mode on the best device. setting, precision: as `settings` lists them."""
    device = _device()
    module = module.to(device).eval()
    layout = torch.channels_last if setting.startswith("channels_last") else torch.contiguous_format

    def run(batch: Batch) -> list[NDArray[np.float32]]:
        inputs = [torch.from_numpy(np.ascontiguousarray(batch[n])).to(device) for n in input_names]
        inputs = [x.contiguous(memory_format=layout) if x.dim() == 4 else x for x in inputs]
        with torch.inference_mode(), _autocast(device, precision):
            outputs = module(*inputs)
        return [o.float().contiguous().cpu().numpy() for o in outputs]

    return run


def _device() -> torch.device:
    return torch.device(device_name())


def _autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    if precision == "f32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)
