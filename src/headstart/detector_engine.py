"""Run a saved detector in the fastest engine, where there are pictures enough to pay for converting it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.runtime.choose import choose_engine
from headstart.runtime.openvino import version as openvino_version
from headstart.sources.cache_dir import cache_dir

WORTH_CONVERTING = 40  # pictures: fewer are found in sooner as it is
BATCH = 4


def with_engine(loaded: tuple[Any, dict[str, Any], Any], folder: Path) -> tuple[Any, dict[str, Any], Any]:
    """What the stock loader gave, its network run by the engine that a micro-benchmark finds fastest.

    folder: of the model. The engine's answers are checked against torch before; the choice and the converted network
    are kept for the next time.
    """
    detector, config, _ = loaded
    side = config["side"]
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes())
    digest.update(f"{side}|{openvino_version()}|{torch.__version__}".encode())
    kept = cache_dir() / "engines" / digest.hexdigest()[:32]
    sample = {"image": np.random.default_rng(0).normal(size=(BATCH, 3, side, side)).astype(np.float32)}
    shapes = {"image": {0: torch.export.Dim("batch", min=1, max=64)}}
    engine = choose_engine(detector, sample, ("image",), shapes, lambda told: None, "auto", kept)

    def run(images: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(np.asarray(out)) for out in engine.run({"image": images.numpy()})]

    return detector, config, run
