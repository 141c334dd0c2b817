"""What an engine is: a frozen module ready to run on numpy batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Batch = Mapping[str, NDArray[np.generic]]
Run = Callable[[Batch], list[NDArray[np.float32]]]


@dataclass(frozen=True)
class Engine:
    """run: one batch of named arrays -> the module's outputs in order. why: the measurement behind the choice.

    examples_per_second, torch_examples_per_second: from the micro-benchmark; NaN where torch was not timed.
    compile_seconds: converting and compiling, 0 for torch. setting: how the engine was set, as measured fastest.
    precision: what it computes in; answers are float32 either way. remembered: chosen by an earlier measurement.
    lanes: ways to run whole batches side by side, each for a thread of its own; together as fast as `run`.
    """

    name: str
    version: str
    device: str
    run: Run
    why: str
    examples_per_second: float
    torch_examples_per_second: float
    compile_seconds: float = 0.0
    setting: str = ""
    precision: str = "f32"
    remembered: bool = False
    lanes: tuple[Run, ...] = ()

    def __post_init__(self) -> None:
        if not self.lanes:
            object.__setattr__(self, "lanes", (self.run,))

    @property
    def key(self) -> str:
        """Part of the feature cache's key: another engine may round differently."""
        return f"{self.name}-{self.version}-{self.precision}"
