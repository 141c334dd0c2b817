"""The OpenVINO engine: the fastest on most x86 CPUs. The only file that imports openvino."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.runtime.engine import Batch, Run


def version() -> str | None:
    """OpenVINO's version, or None where it is not installed."""
    try:
        from importlib.metadata import version as installed

        return installed("openvino")
    except ImportError:
        return None


def compile_openvino(
    module: nn.Module,
    sample: Batch,
    input_names: Sequence[str],
    dynamic_shapes: dict[str, Any],
    kept: Path | None = None,
) -> Run:
    """Compile with the latency hint in float32: one request uses all cores.

    kept: file without ending where the converted network is kept for the next time (weights included).
    Raises RuntimeError (or what the exporter raises) where the module cannot be converted.
    """
    openvino = _openvino()

    model = _read_kept(kept) if kept else None
    if model is None:
        model = _convert(module, sample, input_names, dynamic_shapes)
        if kept:
            _keep(model, kept)
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": os.cpu_count()}
    compiled = openvino.compile_model(model, "CPU", config)
    request = compiled.create_infer_request()

    def run(batch: Batch) -> list[NDArray[np.float32]]:
        request.infer([np.ascontiguousarray(batch[n]) for n in input_names])
        # the request's buffers are overwritten by the next call: copy
        return [np.array(request.get_output_tensor(i).data, dtype=np.float32) for i in range(len(compiled.outputs))]

    return run


def _openvino() -> Any:
    """The library without its usage telemetry, which would ask the network at every conversion."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # its own stub takes over
    import openvino

    return openvino


def _convert(module: nn.Module, sample: Batch, input_names: Sequence[str], dynamic_shapes: dict[str, Any]) -> Any:
    openvino = _openvino()

    example = tuple(torch.from_numpy(np.ascontiguousarray(sample[n])) for n in input_names)
    shapes = tuple(dynamic_shapes[n] for n in input_names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecation notices
        exported = torch.export.export(module.eval(), example, dynamic_shapes=shapes, strict=False)
        return openvino.convert_model(exported)


def _read_kept(kept: Path) -> Any:
    """The converted network of an earlier run; None where there is none or its checksum does not fit."""
    try:
        if kept.with_suffix(".sha256").read_text() != _checksum(kept):
            return None
        return _openvino().Core().read_model(kept.with_suffix(".xml"))
    except (OSError, RuntimeError):
        return None


def _checksum(kept: Path) -> str:
    digest = hashlib.sha256()
    for ending in (".xml", ".bin"):
        digest.update(kept.with_suffix(ending).read_bytes())
    return digest.hexdigest()


def _keep(model: Any, kept: Path) -> None:
    """Save beside and rename; a reader who meets half of it sees a wrong checksum. A full disk only costs time."""
    openvino = _openvino()

    temporary = kept.with_name(f"{kept.name}-{os.getpid()}.part")
    with contextlib.suppress(OSError, RuntimeError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, temporary.with_suffix(".xml"), compress_to_fp16=False)
        temporary.with_suffix(".sha256").write_text(_checksum(temporary))
        for ending in (".bin", ".xml", ".sha256"):
            temporary.with_suffix(ending).replace(kept.with_suffix(ending))
    for ending in (".bin", ".xml", ".sha256"):
        temporary.with_suffix(ending).unlink(missing_ok=True)
