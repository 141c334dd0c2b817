"""The torch engine: always there, and the reference for every other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.runtime.engine import Batch, Run


def device_name() -> str:
    """Name of the best device: cuda where torch sees a GPU, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def compile_torch(module: nn.Module, input_names: Sequence[str]) -> Run:
    """Run the module in inference mode on the best device; 4-d inputs in channels_last."""
    device = device_name()
    module = module.to(device).eval()

    def run(batch: Batch) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            inputs = [torch.from_numpy(np.ascontiguousarray(batch[n])).to(device) for n in input_names]
            inputs = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
            outputs = module(*inputs)
            return [o.float().contiguous().cpu().numpy() for o in outputs]

    return run
