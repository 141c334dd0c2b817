"""Classify images with a saved timm folder, by timm alone. Does not import headstart."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

BATCH = 8
FOLDED_ERROR = 1e-4  # relative; above it batch norm is left where it is


def prepare() -> None:
    """Import what loading needs."""
    import timm  # noqa: F401


def load(folder: str) -> tuple[Any, Any, Any, Any]:
    """Model, reader of transformed images, what makes rows of logits, and what runs parts side by side."""
    import timm

    # sibling files, both as a script and inside the package
    names = ("decode", "side_by_side", "label_sets")
    decode, parallel, label_sets = (import_module(f"{__package__}.{name}" if __package__ else name) for name in names)

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    labels = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["label_names"]
    model = fold_batch_norm(model, config["input_size"])
    return (
        model,
        lambda path: transform(decode.read_image(path)),
        label_sets.rows_of(folder, labels),
        parallel.side_by_side,
    )


def fold_batch_norm(model: Any, input_size: tuple[int, int, int]) -> Any:
    """The same network with batch norms folded into the convolutions before them, a third faster on a CPU.

    That a convolution and the batch norm declared after it also run one after the other is taken for granted and then
    checked: where the outputs differ, the model comes back as it was.
    """
    import torch
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    folded = copy.deepcopy(model)
    for module in list(folded.modules()):
        children = list(module.named_children())
        for (name, first), (after, second) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d) and second.track_running_stats:
                setattr(module, name, fuse_conv_bn_eval(first, second))
                # timm's batch norm may go on with dropout and an activation
                rest = [getattr(second, part) for part in ("drop", "act") if hasattr(second, part)]
                setattr(module, after, nn.Sequential(*rest))
    images = torch.rand(2, *input_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = model(images), folded(images)
    return folded if (found - expected).abs().max() <= FOLDED_ERROR * expected.abs().max() else model


def predict(loaded: tuple[Any, Any, Any, Any], inputs: list[str], features: bool = False) -> Iterator[dict[str, Any]]:
    """One {"probabilities": {class: p}} for each image path, in order, with {"labels": […]} where an image may have
    several; with features also {"features": [D numbers]}.
    """
    import torch

    model, read, rows_of, side_by_side = loaded
    model = model.to(memory_format=torch.channels_last)

    def work(paths: list[str]) -> list[dict[str, Any]]:
        images = torch.stack([read(path) for path in paths]).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            states = model.forward_features(images)
            rows: list[dict[str, Any]] = rows_of(model.forward_head(states))  # (B, C)
            if features:
                pooled = model.forward_head(states, pre_logits=True).tolist()  # (B, D)
                rows = [{**row, "features": values} for row, values in zip(rows, pooled)]
        return rows

    for rows in side_by_side(work, [inputs[i : i + BATCH] for i in range(0, len(inputs), BATCH)]):
        yield from rows


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
