"""The chosen engine in 16-bit arithmetic, where the machine gains from that. Scores are not asked here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.engine import Batch, Engine, Run
from headstart.runtime.parity import difference
from headstart.runtime.timing import time_run

LEAST_GAIN = 1.25  # times the speed of float32; less is not worth another compilation
MAX_ERROR = 0.05  # relative, of any value; scores move where it is more, so that they need not be asked


def reduced_engine(
    exact: Engine, module: nn.Module, sample: Batch, input_names: Sequence[str], kept: Path
) -> Engine | str:
    """The same network in bfloat16 (float16 on a GPU without it), or why not.

    exact: the engine chosen in float32, with its converted network under `kept`. sample: the batch it was timed on.
    """
    if exact.precision != "f32":
        return f"it computes in {exact.precision} already"
    found = _openvino(exact, input_names, kept) if exact.name == "openvino" else _torch(exact, module, input_names)
    if isinstance(found, str):
        return found
    run, precision = found
    answers = exact.run(sample)
    timed = time_run(run, sample)
    gain = time_run(exact.run, sample).seconds / timed.seconds
    error = difference(timed.answers, answers)
    told = f"{gain:.1f} times the speed of f32, largest relative difference {error:.0e}"
    if not error <= MAX_ERROR or gain < LEAST_GAIN:
        return f"{precision}: {told}"
    return replace(
        exact,
        run=run,
        lanes=getattr(run, "lanes", ()),
        precision=precision,
        examples_per_second=exact.examples_per_second * gain,
        why=f"{exact.why}; {precision}: {told}",
    )


def _openvino(exact: Engine, input_names: Sequence[str], kept: Path) -> tuple[Run, str] | str:
    if not openvino_engine.has_bfloat16():
        return "this processor has no bfloat16 arithmetic"
    network = openvino_engine.read_kept(kept, lambda message: None)
    if network is None:
        return "the converted network is not kept"
    try:
        return openvino_engine.compile_openvino(network, input_names, len(exact.lanes), "bf16"), "bf16"
    except RuntimeError as error:
        return f"the network does not compile for bf16 ({str(error).splitlines()[0][:100]})"


def _torch(exact: Engine, module: nn.Module, input_names: Sequence[str]) -> tuple[Run, str] | str:
    precision = torch_engine.half_precision()
    if precision is None or not math.isfinite(exact.examples_per_second):
        return "torch on this processor is no faster in 16 bits"
    return torch_engine.compile_torch(module, input_names, exact.setting, precision), precision
