"""Stop a training step before it takes more memory than the machine has free."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch
from torch import nn

from headstart.runtime.torch import device_name

KEPT_FREE = 0.1  # of all memory
COPIES = 5  # of what is trained: the gradient, two moments, the averaged and the best weights
PEAK = 1.2  # of a step, over what it keeps for the way back
CGROUP = Path("/sys/fs/cgroup")


class NoRoom(Exception):
    """What a step takes more than."""


def free_bytes() -> float:
    """Memory that may be taken without swapping: the machine's, and of a container what its limit leaves."""
    memory = psutil.virtual_memory()
    free = memory.available - KEPT_FREE * memory.total
    with contextlib.suppress(OSError, ValueError):  # no such limit, or "max"
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(stat.get("inactive_file", 0)) - KEPT_FREE * limit)
    return float(free)


class Room:
    """What a module's training steps may take. free: bytes; on a GPU nothing is watched, its own error tells."""

    def __init__(self, module: nn.Module, free: Callable[[], float] = free_bytes) -> None:
        self.own = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}
        trained = sum(p.nbytes for p in module.parameters() if p.requires_grad)
        self.free = float("inf") if device_name() == "cuda" else free() - COPIES * trained

    @contextlib.contextmanager
    def watched(self, examples: int) -> Iterator[None]:
        """A forward pass over so many examples. Raises NoRoom as soon as what it keeps is too much."""
        seen, taken = set(self.own), 0

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal taken
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                taken += storage.nbytes()
                if PEAK * taken > self.free:
                    given = max(0.0, self.free) / 1e9
                    raise NoRoom(f"a step of {examples} examples takes more than the {given:.1f} GB of memory to spare")
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            yield
