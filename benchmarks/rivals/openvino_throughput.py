"""What a practitioner after speed would write: a DataLoader that feeds OpenVINO's throughput mode.

As many requests run at once as the hint asks for, each on its share of the cores, while workers decode.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import timm_logistic
import torch


def load(folder: Path) -> tuple[Any, Any]:
    """The headless model, compiled in float32 for throughput, and timm's transform."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would ask the network at each conversion
    import openvino

    model, transform = timm_logistic.load(folder)
    shape = model.pretrained_cfg["input_size"]
    converted = openvino.convert_model(model, example_input=torch.zeros(1, *shape), input=[(-1, *shape)])
    config = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(converted, "CPU", config), transform


def features(compiled: Any, transform: Any, paths: list[str], batch: int) -> np.ndarray[Any, Any]:
    """Pre-logits (N, D), in the order of the paths. batch: images per request."""
    import openvino

    found: dict[int, np.ndarray[Any, Any]] = {}

    def keep(request: Any, number: int) -> None:
        found[number] = request.get_output_tensor(0).data.copy()

    images = timm_logistic.Images(paths, transform)
    # forked from a process with OpenVINO's threads, workers may wait forever
    loader = torch.utils.data.DataLoader(
        images, batch_size=batch, num_workers=timm_logistic.WORKERS, multiprocessing_context="forkserver"
    )
    queue = openvino.AsyncInferQueue(compiled)
    queue.set_callback(keep)
    for number, pictures in enumerate(loader):
        queue.start_async({0: pictures.numpy()}, number)
    queue.wait_all()
    return np.concatenate([found[number] for number in sorted(found)])
