"""The OpenVINO engine: the fastest on most x86 CPUs. The only file that imports openvino."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
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
    module: nn.Module, sample: Batch, input_names: Sequence[str], dynamic_shapes: dict[str, Any]
) -> Run:
    """Compile with the latency hint in float32: one request uses all cores.

    Raises RuntimeError (or what the exporter raises) where the module cannot be converted.
    """
    import openvino

    example = tuple(torch.from_numpy(np.ascontiguousarray(sample[n])) for n in input_names)
    shapes = tuple(dynamic_shapes[n] for n in input_names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecation notices
        exported = torch.export.export(module.eval(), example, dynamic_shapes=shapes, strict=False)
        model = openvino.convert_model(exported)
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": os.cpu_count()}
    compiled = openvino.compile_model(model, "CPU", config)
    request = compiled.create_infer_request()

    def run(batch: Batch) -> list[NDArray[np.float32]]:
        request.infer([np.ascontiguousarray(batch[n]) for n in input_names])
        # the request's buffers are overwritten by the next call: copy
        return [np.array(request.get_output_tensor(i).data, dtype=np.float32) for i in range(len(compiled.outputs))]

    return run
