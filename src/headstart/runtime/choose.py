"""Choose the engine by a micro-benchmark on the real module, after checking that the answers agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart.errors import SettingError
from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.engine import Batch, Engine, Run

ENGINES = ("auto", "openvino", "torch")
MAX_RELATIVE_ERROR = 1e-3


def choose_engine(
    module: nn.Module,
    sample: Batch,
    input_names: Sequence[str],
    dynamic_shapes: dict[str, Any],
    say: Callable[[str], None],
    wanted: str = "auto",
    kept: Path | None = None,
) -> Engine:
    """Compile for each engine this machine has, compare with torch, time one batch, keep the faster.

    kept: where a converted network may be kept between runs, named after its weights.
    A fallback is said through `say` and told in the engine's `why`.
    Raises SettingError for an engine that was asked for by name and cannot be used.
    """
    if wanted not in ENGINES:
        raise SettingError(f"engine is {wanted!r}; choose one of {', '.join(ENGINES)}.")
    reference = torch_engine.compile_torch(module, input_names)
    examples = len(next(iter(sample.values())))
    device = _device()
    if wanted == "torch" or (wanted == "auto" and torch_engine.device_name() == "cuda"):
        seconds = _time(reference, sample)
        why = "asked for" if wanted == "torch" else "a GPU is present"
        return Engine("torch", torch.__version__, device, reference, why, examples / seconds, examples / seconds)
    other, fault = _try_openvino(module, sample, input_names, dynamic_shapes, reference, kept)
    seconds = _time(reference, sample) if wanted == "auto" else float("nan")
    if other is not None:
        run, error = other
        other_seconds = _time(run, sample)
        if other_seconds < seconds or wanted == "openvino":
            gain = f"{seconds / other_seconds:.1f} times torch's speed" if wanted == "auto" else "asked for"
            why = f"{gain}, largest relative difference {error:.0e}"
            version = openvino_engine.version() or ""
            return Engine("openvino", version, device, run, why, examples / other_seconds, examples / seconds)
        fault = f"torch measured {other_seconds / seconds:.1f} times OpenVINO's speed"
    elif wanted == "openvino":
        raise SettingError(f"engine openvino cannot be used here: {fault}. Use --engine torch.")
    else:
        say(f"OpenVINO is not used: {fault}. Running on torch, which is slower.")
    return Engine("torch", torch.__version__, device, reference, fault, examples / seconds, examples / seconds)


def _try_openvino(
    module: nn.Module,
    sample: Batch,
    input_names: Sequence[str],
    dynamic_shapes: dict[str, Any],
    reference: Run,
    kept: Path | None,
) -> tuple[tuple[Run, float] | None, str]:
    if openvino_engine.version() is None:
        return None, "it is not installed (pip install openvino)"
    small = {name: value[:2] for name, value in sample.items()}
    try:
        run = openvino_engine.compile_openvino(module, small, input_names, dynamic_shapes, kept)
        answers = run(small)
    except Exception as error:  # any converter fault means: use the reference engine, and say so
        return None, f"the model could not be converted ({type(error).__name__}: {str(error).splitlines()[0][:120]})"
    worst = 0.0
    for ours, expected in zip(answers, reference(small)):
        scale = float(np.abs(expected).max()) or 1.0
        worst = float(np.maximum(worst, np.abs(ours - expected).max() / scale))  # NaN stays NaN
    if not worst <= MAX_RELATIVE_ERROR:
        return None, f"its answers differ from torch's by {worst:.1e} (relative), more than {MAX_RELATIVE_ERROR:.0e}"
    return (run, worst), ""


def _time(run: Run, sample: Batch) -> float:
    run(sample)
    begin = time.perf_counter()
    run(sample)
    return max(time.perf_counter() - begin, 1e-9)


def _device() -> str:
    import os

    if torch_engine.device_name() == "cuda":
        return str(torch.cuda.get_device_name())
    return f"CPU, {os.cpu_count()} cores"
