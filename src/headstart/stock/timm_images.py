"""Classify images with a saved timm folder, by timm alone. Does not import headstart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

BATCH = 16


def load(folder: str) -> tuple[Any, Any, list[str], Callable[[str], Any]]:
    """Model, transform, class names and image reader of a timm folder."""
    import timm

    # a sibling file, both as a script and inside the package
    decode = import_module(f"{__package__}.decode" if __package__ else "decode")

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    labels = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["label_names"]
    return model, transform, labels, decode.read_image


def predict(loaded: tuple[Any, Any, list[str], Callable[[str], Any]], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """One {"probabilities": {class: p}} for each image path, in order."""
    import torch

    model, transform, labels, read_image = loaded
    model = model.to(memory_format=torch.channels_last)
    for start in range(0, len(inputs), BATCH):
        images = torch.stack([transform(read_image(path)) for path in inputs[start : start + BATCH]])
        with torch.inference_mode():
            probabilities = model(images.to(memory_format=torch.channels_last)).double().softmax(-1)  # (B, C)
        for row in probabilities.tolist():
            yield {"probabilities": dict(zip(labels, row))}


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(load, predict)
