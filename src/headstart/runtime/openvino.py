"""The OpenVINO engine: the fastest on most x86 CPUs. The only file that imports openvino."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.runtime.engine import Batch, Run
from headstart.runtime.traceable import traceable

# ways to convert, the fast one first -> least size of a dynamic axis (the exporter takes 1 for a constant)
LEAST_SIZE = {"traced": 1, "exported": 2}
LATENCY = "latency"
MAX_STREAMS = 4
CONVERSION = 2  # counts changes of the conversion: networks kept by an older one are not read


def version() -> str | None:
    """OpenVINO's version, or None where it is not installed."""
    try:
        from importlib.metadata import version as installed

        return installed("openvino")
    except ImportError:
        return None


def settings(sample: Batch, dynamic_shapes: dict[str, Any]) -> dict[str, int]:
    """Ways to run that are worth timing -> how many parts of a batch each runs side by side."""
    found = {LATENCY: 1}
    rows = min(len(value) for value in sample.values())
    streams = min(os.cpu_count() or 1, rows, MAX_STREAMS)
    if streams > 1 and all(0 in (dynamic_shapes[name] or {}) for name in sample):
        found[f"{streams} streams"] = streams
    return found


class Streams:
    """A compiled network. Calling it divides a batch among its streams, which share the cores, and waits for all.

    lanes: one for each stream, to run whole batches side by side from several threads without waiting for each other.
    """

    def __init__(self, compiled: Any, input_names: Sequence[str], streams: int) -> None:
        self._names = tuple(input_names)
        self._outputs = range(len(compiled.outputs))
        self._requests = [compiled.create_infer_request() for _ in range(streams)]
        self.lanes: tuple[Run, ...] = tuple(partial(self._run, [request]) for request in self._requests)

    def __call__(self, batch: Batch) -> list[NDArray[np.float32]]:
        return self._run(self._requests, batch)

    def _run(self, requests: Sequence[Any], batch: Batch) -> list[NDArray[np.float32]]:
        inputs = [np.ascontiguousarray(batch[n]) for n in self._names]
        parts = min(len(requests), len(inputs[0]))
        # one part is passed whole: a network may have inputs that are not batched
        split = [np.array_split(value, parts) for value in inputs] if parts > 1 else [[value] for value in inputs]
        started = requests[:parts]
        for part, request in enumerate(started):
            request.start_async([value[part] for value in split])
        for request in started:
            request.wait()
        # a request's buffers are overwritten by the next call: copy
        return [
            np.concatenate([np.asarray(request.get_output_tensor(i).data, dtype=np.float32) for request in started])
            if parts > 1
            else np.array(started[0].get_output_tensor(i).data, dtype=np.float32)
            for i in self._outputs
        ]


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16."""
    return "BF16" in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_openvino(network: Any, input_names: Sequence[str], streams: int = 1, precision: str = "f32") -> Streams:
    """Compile to compute in this precision. One stream gives every request all cores; several share them.

    Raises RuntimeError where the network cannot be compiled.
    """
    hint = (
        {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams}
    )
    config = {**hint, "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": os.cpu_count()}
    return Streams(_openvino().compile_model(network, "CPU", config), input_names, streams)


def _openvino() -> Any:
    """The library without its usage telemetry, which would ask the network at every conversion."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # its own stub takes over
    import openvino

    return openvino


def convert(
    module: nn.Module, example: Batch, input_names: Sequence[str], dynamic_shapes: dict[str, Any], route: str
) -> Any:
    """Convert for inputs of any size on the dynamic axes.

    route: "traced" (seconds; may take the example's sizes for constants, so compare at others) or "exported" (several
    times slower; needs sizes of 2 or more).
    Raises RuntimeError (or what tracer or exporter raise) where the module cannot be converted.
    """
    openvino = _openvino()

    tensors = tuple(torch.from_numpy(np.ascontiguousarray(example[n])) for n in input_names)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's and the tracer's own notices
        if route == "traced":
            traced = torch.jit.trace(traceable(module.eval()), tensors, check_trace=False)
            return openvino.convert_model(traced, example_input=tensors)
        shapes = tuple(dynamic_shapes[n] for n in input_names)
        return openvino.convert_model(torch.export.export(module.eval(), tensors, dynamic_shapes=shapes, strict=False))


def read_kept(kept: Path, say: Callable[[str], None]) -> Any:
    """The converted network of an earlier run; None where there is none or it is damaged, which is said."""
    kept = _named(kept)
    try:
        if kept.with_suffix(".sha256").read_text() == _checksum(kept):
            return _openvino().Core().read_model(kept.with_suffix(".xml"))
    except (OSError, RuntimeError):
        pass
    if kept.with_suffix(".sha256").exists():
        say("The converted network kept from an earlier run is damaged. Converting again.")
    return None


def kept_digest(kept: Path) -> str:
    """Checksum of the kept network as it was written; "" where there is none."""
    try:
        return _named(kept).with_suffix(".sha256").read_text()
    except OSError:
        return ""


def _named(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}-{CONVERSION}")


def _checksum(kept: Path) -> str:
    digest = hashlib.sha256()
    for ending in (".xml", ".bin"):
        digest.update(kept.with_suffix(ending).read_bytes())
    return digest.hexdigest()


def keep(model: Any, kept: Path) -> None:
    """Save beside and rename; a reader who meets half of it sees a wrong checksum. A full disk only costs time."""
    openvino = _openvino()

    kept = _named(kept)
    temporary = kept.with_name(f"{kept.name}-{os.getpid()}.part")
    with contextlib.suppress(OSError, RuntimeError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, temporary.with_suffix(".xml"), compress_to_fp16=False)
        temporary.with_suffix(".sha256").write_text(_checksum(temporary))
        for ending in (".bin", ".xml", ".sha256"):
            temporary.with_suffix(ending).replace(kept.with_suffix(ending))
    for ending in (".bin", ".xml", ".sha256"):
        temporary.with_suffix(ending).unlink(missing_ok=True)
