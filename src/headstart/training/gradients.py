"""The gradients of a batch, in parts where all of it at once would take more memory than the machine has free."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.training.room import NoRoom, Room

FEWEST = 2  # examples in a part: a batch norm that learns needs more than one

# rows of one step -> that step's mean loss
StepLoss = Callable[[nn.Module, NDArray[np.int64], np.random.Generator], torch.Tensor]


class Gradients:
    """Adds up what the parts of a batch give. parts: of how many a batch now consists; it only grows.

    splits: whether a batch may be divided: not where its examples are compared with each other. The parts' losses are
    weighted by their examples, so that their sum is the batch's mean where the loss is a mean over examples.
    """

    def __init__(self, module: nn.Module, step_loss: StepLoss, room: Room, splits: bool) -> None:
        self.module, self.step_loss, self.room, self.splits = module, step_loss, room, splits
        self.parts, self._longest = 1, -1

    def of(self, batch: NDArray[np.int64], length: int, rng: np.random.Generator) -> float:
        """Leave the gradients of the batch's loss with the parameters; returns the loss, which may not be finite.

        length: of its longest example; a longer one than any before may take more memory. Raises NoRoom.
        """
        drawn = rng.bit_generator.state, torch.get_rng_state()
        while True:
            try:
                return self._of(batch, length, rng)
            except NoRoom:
                if not self.splits or len(batch) < 2 * FEWEST * self.parts:
                    raise
                self.parts, self._longest = 2 * self.parts, -1
                rng.bit_generator.state = drawn[0]
                torch.set_rng_state(drawn[1])

    def _of(self, batch: NDArray[np.int64], length: int, rng: np.random.Generator) -> float:
        self.module.zero_grad(set_to_none=True)
        is_watched, total = length > self._longest, 0.0
        for part in np.array_split(batch, min(self.parts, max(1, len(batch) // FEWEST))):
            with self.room.watched(len(part)) if is_watched else contextlib.nullcontext():
                loss = self.step_loss(self.module, part, rng)
            share = len(part) / len(batch)
            total += share * loss.item()
            if not np.isfinite(total):
                break
            (share * loss).backward()  # type: ignore[no-untyped-call]
        self._longest = max(self._longest, length)
        return total
