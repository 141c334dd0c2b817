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
    """The headless model, compiled in float32 for throughput, and timm's settings for its inputs."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would ask the network at each conversion
    import openvino

    model, _ = timm_logistic.load(folder)
    import timm  # can be imported now

    shape = model.pretrained_cfg["input_size"]
    converted = openvino.convert_model(model, example_input=torch.zeros(1, *shape), input=[(-1, *shape)])
    config = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(converted, "CPU", config), timm.data.resolve_model_data_config(model)


class Apart(timm_logistic.Images):
    """For workers that start afresh: they make the transform themselves, once torchvision is ready for that."""

    def __init__(self, paths: list[str], config: dict[str, Any]) -> None:
        super().__init__(paths, None)
        self.config = config

    def __getitem__(self, index: int) -> Any:
        if self.transform is None:
            self.transform = timm_logistic.transform_of(self.config)
        return super().__getitem__(index)


def features(compiled: Any, config: dict[str, Any], paths: list[str], batch: int) -> np.ndarray[Any, Any]:
    """Pre-logits (N, D), in the order of the paths. batch: images per request."""
    import openvino

    found: dict[int, np.ndarray[Any, Any]] = {}

    def keep(request: Any, number: int) -> None:
        found[number] = request.get_output_tensor(0).data.copy()

    images = Apart(paths, config)
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
