"""Classify images with a saved timm folder, by timm alone. Does not import headstart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

BATCH = 16


def load(folder: str) -> tuple[Any, Any, list[str], Any]:
    """Model, reader of transformed images, class names, and the module that reads ahead."""
    import timm

    # sibling files, both as a script and inside the package
    decode, ahead = (import_module(f"{__package__}.{name}" if __package__ else name) for name in ("decode", "ahead"))

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    labels = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["label_names"]
    return model, lambda path: transform(decode.read_image(path)), labels, ahead


def predict(loaded: tuple[Any, Any, list[str], Any], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """One {"probabilities": {class: p}} for each image path, in order."""
    import torch

    model, read, labels, ahead = loaded
    model = model.to(memory_format=torch.channels_last)
    ready = ahead.read_ahead(read, inputs, 4 * BATCH)
    for start in range(0, len(inputs), BATCH):
        images = torch.stack([next(ready) for _ in inputs[start : start + BATCH]])
        with torch.inference_mode():
            probabilities = model(images.to(memory_format=torch.channels_last)).double().softmax(-1)  # (B, C)
        for row in probabilities.tolist():
            yield {"probabilities": dict(zip(labels, row))}


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(load, predict)
