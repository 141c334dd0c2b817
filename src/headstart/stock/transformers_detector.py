"""Find objects in images with a saved DETR folder, by transformers. Does not import headstart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

MIN_SCORE = 0.02
MOST_FOUND = 200


def prepare() -> None:
    """Import what loading needs."""
    import transformers  # noqa: F401


def _sibling(name: str) -> Any:
    """A file beside this one, both as a script and inside a package."""
    return import_module(f"{__package__}.{name}" if __package__ else name)


def load(folder: str) -> tuple[Any, dict[str, Any], Any]:
    """Model, the folder's facts, and its image processor."""
    _sibling("torchvision_ops").ensure()
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    facts = json.loads((Path(folder) / "headstart_detector.json").read_text(encoding="utf-8"))
    return model, facts, AutoImageProcessor.from_pretrained(folder)


def padded(picture: Any, facts: dict[str, Any]) -> Any:
    """A tile smaller than others (at the edge of a small picture), with grey around: all are enlarged alike."""
    from PIL import Image

    tile = facts["tile"]
    if tile is None or picture.size == (tile, tile):
        return picture
    whole = Image.new("RGB", (tile, tile), (124, 116, 104))
    whole.paste(picture, (0, 0))
    return whole


def boxes_of(processor: Any, outputs: Any, side: int) -> list[dict[str, Any]]:
    """For each picture boxes (n, 4) in pixels of the square, scores and labels, best first."""
    count = len(outputs.logits)
    found = processor.post_process_object_detection(outputs, threshold=MIN_SCORE, target_sizes=[(side, side)] * count)
    rows = []
    for one in found:
        order = one["scores"].argsort(descending=True)[:MOST_FOUND]
        rows.append({key: one[key][order] for key in ("boxes", "scores", "labels")})
    return rows


def predict(loaded: tuple[Any, dict[str, Any], Any], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """{"boxes": [{"label", "score", "box": [left, top, right, bottom]}]} for each image path, in order; boxes with a
    score of 0.5 or more count.
    """
    import torch

    decode, regions, detector = _sibling("decode"), _sibling("regions"), _sibling("timm_detector")
    model, facts, processor = loaded

    def shown(picture: Any, square: Any, config: dict[str, Any]) -> Any:
        left, top, width, height, _ = square
        part = padded(picture.crop((left, top, left + width, top + height)), config)
        return torch.from_numpy(processor(images=part, return_tensors="np")["pixel_values"][0])

    def network(images: Any) -> Any:
        return boxes_of(processor, model(pixel_values=images), facts["side"])

    for name in inputs:
        file, region = regions.split_region(name)
        with torch.inference_mode():
            picture = regions.cropped(decode.read_image(file), region)
            yield {"boxes": detector.found_in(picture, network, facts, shown)}


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
