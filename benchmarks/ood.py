"""Which distance tells strange inputs from familiar ones? Solar cells against changed cells and photographs.

Features of a frozen network for cells to learn from, for other cells, for these blurred, inverted, turned and noisy,
and for photographs in grey (crops of scikit-learn's two). Each distance is fitted to the first and ranks the others:
area under the curve. Last, the share that headstart's detector flags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

from common import Records, Said, machine_line, parser, table
from headstart.data import image
from headstart.demo_data import elpv
from headstart.metrics.ood import DIRECTIONS, fit_feature_distance, fit_ood_detector, unit_rows
from headstart.sources.cache_dir import cache_dir
from headstart.stock import torchvision_ops
from runs import read_csv
from splits import model_folder

MODEL = "pip:efficientnet-lite0"
BATCH = 16
NOISE = 40.0  # of 255
Floats = NDArray[np.floating]
Distance = Callable[[Floats], Floats]


def main() -> None:
    """Extract, rank, print the table."""
    made = parser(__doc__)
    made.add_argument("--train", type=int, default=900, help="cells to fit the distances to")
    made.add_argument("--test", type=int, default=200, help="other cells; each change is made to all of them")
    made.add_argument("--photographs", type=int, default=80, help="crops")
    arguments = made.parse_args()
    records = Records("ood", arguments.results, small=arguments.train < 900)
    records.open(arguments)
    rng = np.random.default_rng(0)
    rows = read_csv(elpv.prepare(cache_dir() / "demo", Said()))
    drawn = [rows[i] for i in rng.permutation(len(rows))[: arguments.train + arguments.test]]
    cells = [image.load(row["file_name"]) for row in drawn]
    familiar, others = cells[: arguments.train], cells[arguments.train :]
    network = _network()
    train, labels = network(familiar), np.array([row["label"] for row in drawn[: arguments.train]])
    known, strange = network(others), {k: network(v) for k, v in _strange(others, arguments.photographs, rng).items()}
    areas = {}
    for name, distance in _distances(train, labels).items():
        home = distance(known)
        areas[name] = {kind: _area(home, distance(features)) for kind, features in strange.items()}
        records.write("distance", name=name, areas=areas[name])
    numbers = np.arange(len(train))
    detector = fit_ood_detector(train, labels, numbers, numbers % 3)
    flagged = {k: float(detector.flagged(detector.p_values(v)).mean()) for k, v in {"cells": known, **strange}.items()}
    records.write("flagged", level=detector.level, shares=flagged)
    header = ("distance", *strange)
    print(table(header, [(name, *(f"{area:.3f}" for area in found.values())) for name, found in areas.items()]))
    print(f"\nFlagged at {detector.level:.0%}: " + ", ".join(f"{k} {share:.1%}" for k, share in flagged.items()))
    print(f"\n{len(train)} cells to fit, {len(known)} others, {arguments.photographs} photographs. {machine_line()}")


def _network() -> Callable[[Sequence[Image.Image]], Floats]:
    """Pooled features (N, D) of pictures."""
    torchvision_ops.ensure()
    import timm

    model = timm.create_model(f"local-dir:{model_folder(MODEL)}", pretrained=True, num_classes=0).eval()
    transform: Any = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)

    def features(pictures: Sequence[Image.Image]) -> Floats:
        with torch.inference_mode():
            parts = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
            return np.concatenate([model(torch.stack([transform(p) for p in part])).numpy() for part in parts])

    return features


def _strange(cells: Sequence[Image.Image], photographs: int, rng: np.random.Generator) -> dict[str, list[Image.Image]]:
    def noisy(picture: Image.Image) -> Image.Image:
        pixels = np.asarray(picture, dtype=float)
        return Image.fromarray(np.clip(pixels + rng.normal(0, NOISE, pixels.shape), 0, 255).astype(np.uint8))

    def crop(number: int) -> Image.Image:
        whole = Image.fromarray(load_sample_images().images[number % 2])
        side = int(rng.integers(150, 400))
        left, top = (int(rng.integers(0, length - side)) for length in whole.size)
        return whole.crop((left, top, left + side, top + side)).convert("L").convert("RGB")

    return {
        "blurred": [p.filter(ImageFilter.GaussianBlur(6)) for p in cells],
        "inverted": [ImageOps.invert(p) for p in cells],
        "turned by 45°": [p.rotate(45) for p in cells],
        "noisy": [noisy(p) for p in cells],
        "photographs": [crop(i) for i in range(photographs)],
    }


def _distances(train: Floats, labels: NDArray[Any]) -> Mapping[str, Distance]:
    rows = unit_rows(train)
    means = np.stack([rows[labels == c].mean(0) for c in np.unique(labels)])

    def neighbour(rank: int) -> Distance:
        return lambda features: 1.0 - np.sort(unit_rows(features) @ rows.T, axis=1)[:, -rank]

    kept = {k: fit_feature_distance(train, labels, k).distances for k in (16, DIRECTIONS, 256, train.shape[1])}
    return {
        **{f"Mahalanobis, {k} directions": distance for k, distance in kept.items()},
        **{f"neighbour {rank}, cosine": neighbour(rank) for rank in (1, 10)},
        "class mean, Euclidean": lambda f: ((unit_rows(f)[:, None] - means) ** 2).sum(-1).min(1),
    }


def _area(home: Floats, abroad: Floats) -> float:
    strange = np.concatenate([np.zeros(len(home)), np.ones(len(abroad))])
    return float(roc_auc_score(strange, np.concatenate([home, abroad])))


if __name__ == "__main__":
    main()
