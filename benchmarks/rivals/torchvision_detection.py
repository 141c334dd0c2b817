"""torchvision's reference training of a detector, on the tiles and with the network that headstart uses.

python torchvision_detection.py MODEL_FOLDER DATA OUT.jsonl LAYOUT MINUTES
LAYOUT: contiguous or channels_last; "steps" times a few steps of both and ends.

Reference: references/detection/train.py of torchvision 0.28: SGD with momentum 0.9, weight decay 1e-4, rate 0.02 for 16
images (in proportion for fewer), linear warm-up in the first epoch, 26 epochs with steps at 16 and 22, horizontal
flips, frozen batch norm, the first two of five stages frozen. One line for each epoch: seconds of training so far, mAP
at IoU 0.5 of the test picture (scoring takes no time from it).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

BATCH = 4
EPOCHS = 26
STEPS = (16, 22)
FROZEN = ("conv_stem", "bn1", "blocks.0", "blocks.1", "stem", "layer1", "stages.0")
SIDE, OVERLAP = 416, 65


def build(folder: Path) -> tuple[nn.Module, nn.Module, dict[str, Any]]:
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()
    import timm

    from headstart.stock.detector_network import PyramidHead, Taps

    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    data = timm.data.resolve_model_data_config(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN))
    torch.manual_seed(0)
    taps = Taps(model)
    config = {"side": SIDE, "tile": SIDE, "overlap": OVERLAP, "mean": data["mean"], "std": data["std"],
              "label_names": ["Tree"], "threshold": 0.5}  # fmt: skip
    return taps, PyramidHead(taps.strides, taps.channels, 1), config


def tiles(data: Path, config: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """All tiles of the training picture, and their boxes."""
    from headstart.data import folders, image
    from headstart.data.boxes import corners_of, usable, within
    from headstart.stock.timm_detector import squared, squares

    pictures, boxes = [], []
    for row in folders.read(data).rows:
        picture = image.load(row.values["file"])
        known, _ = usable(row.values["boxes"], picture.size)
        for part in squares(picture.size, config):
            shown = [b for b in within(known, part[:4], 0.4) if not b.crowd]
            pictures.append(squared(picture, part, config))
            boxes.append(torch.from_numpy(corners_of(shown)).float())
    return torch.stack(pictures), boxes


def map_50(taps: nn.Module, head: Any, config: dict[str, Any], data: Path) -> float:
    """Of the test picture, found in tiles and joined as headstart does."""
    from headstart.data import folders, image
    from headstart.data.boxes import as_target, usable
    from headstart.stock.timm_detector import found_in
    from headstart.tasks.box_scores import score_boxes
    from headstart.types import Found, Prediction

    predictions = []
    with torch.inference_mode():
        for row in folders.read(data).rows:
            picture = image.load(row.values["file"])
            rows = found_in(picture, lambda images: head.found(head(taps(images)), SIDE), config)
            found = tuple(Found(r["label"], r["score"], tuple(r["box"])) for r in rows)
            target = as_target(usable(row.values["boxes"], picture.size)[0])
            predictions.append(Prediction(row.id, target, boxes=found))
    groups = np.arange(len(predictions))
    return float(score_boxes(predictions, groups, np.random.default_rng(0)).metrics["map_50"].value)


def batch_of(images: torch.Tensor, boxes: list[torch.Tensor], rows: Any, layout: torch.memory_format) -> Any:
    """Images, each mirrored or not, with their targets."""
    chosen, targets = [], []
    for row in rows:
        picture, own = images[row], boxes[row]
        if torch.rand(1) < 0.5:
            picture = picture.flip(-1)
            own = torch.stack([SIDE - own[:, 2], own[:, 1], SIDE - own[:, 0], own[:, 3]], 1)
        chosen.append(picture)
        targets.append({"boxes": own, "labels": torch.zeros(len(own), dtype=torch.int64)})
    return torch.stack(chosen).contiguous(memory_format=layout), targets


def train(folder: Path, data: Path, layout: torch.memory_format, minutes: float, epochs: int = EPOCHS) -> Any:
    """Yields (epoch, seconds, steps, taps, head, config)."""
    taps, head, config = build(folder)
    taps, head = taps.to(memory_format=layout), head.to(memory_format=layout)
    images, boxes = tiles(data / "train", config)
    parameters = [p for m in (taps, head) for p in m.parameters() if p.requires_grad]
    rate = 0.02 * BATCH / 16
    optimizer = torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=1e-4)
    seconds, steps = 0.0, 0
    for epoch in range(1, epochs + 1):
        begin = time.perf_counter()
        order = torch.randperm(len(images)).tolist()
        batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        for n, rows in enumerate(batches):
            warm = min(1.0, 0.001 + (n / max(1, len(batches) - 1))) if epoch == 1 else 1.0
            for group in optimizer.param_groups:
                group["lr"] = rate * warm * 0.1 ** sum(epoch > step for step in STEPS)
            inputs, targets = batch_of(images, boxes, rows, layout)
            loss = head.loss(taps(inputs), targets, SIDE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        seconds += time.perf_counter() - begin
        yield epoch, seconds, steps, taps, head, config
        if seconds > 60 * minutes:
            return


def main() -> None:
    folder, data, out, layout = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    with out.open("a") as stream:
        if layout == "steps":
            for name, chosen in layouts.items():
                _, seconds, steps, *_ = next(iter(train(folder, data, chosen, 10, 1)))
                stream.write(json.dumps({"layout": name, "seconds_per_step": seconds / steps}) + "\n")
            return
        for epoch, seconds, steps, taps, head, config in train(folder, data, layouts[layout], float(sys.argv[5])):
            score = map_50(taps, head, config, data / "test")
            line = {"layout": layout, "epoch": epoch, "seconds": seconds, "steps": steps, "map_50": score}
            stream.write(json.dumps(line) + "\n")
            stream.flush()


if __name__ == "__main__":
    main()
