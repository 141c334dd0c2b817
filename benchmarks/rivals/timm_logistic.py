"""What a practitioner would write: timm features, then scikit-learn's cross-validated logistic regression.

python timm_logistic.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from files import arguments, read_table, write_answer
from PIL import Image

BATCH = 32
WORKERS = 2


class Images(torch.utils.data.Dataset[Any]):
    """Paths to transformed images."""

    def __init__(self, paths: list[str], transform: Any) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.transform(Image.open(self.paths[index]).convert("RGB"))


def load(folder: Path) -> tuple[Any, Any]:
    """The headless model (pooled pre-logits) and its transform."""
    timm = _timm()
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    return model, transform_of(timm.data.resolve_model_data_config(model))


def transform_of(config: dict[str, Any]) -> Any:
    """The stock transform of a model with these settings."""
    return _timm().data.create_transform(**config, is_training=False)


def _timm() -> Any:
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()  # lets torchvision import beside a CPU torch; nothing else of headstart is used
    import timm

    return timm


def features(model: Any, transform: Any, paths: list[str], channels_last: bool = False) -> np.ndarray[Any, Any]:
    """Pre-logits (N, D), decoding in DataLoader workers."""
    loader = torch.utils.data.DataLoader(Images(paths, transform), batch_size=BATCH, num_workers=WORKERS)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with torch.inference_mode():
        return np.concatenate([model(images.contiguous(memory_format=layout)).numpy() for images in loader])


def main() -> None:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folder, train_file, test_file, out = arguments()
    train, train_targets = read_table(train_file)
    test, test_targets = read_table(test_file)
    times = [time.perf_counter()]
    model, transform = load(folder)
    times.append(time.perf_counter())
    train_features, test_features = features(model, transform, train), features(model, transform, test)
    times.append(time.perf_counter())
    classifier = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=10, cv=5, max_iter=1000))
    classifier.fit(train_features, train_targets)
    times.append(time.perf_counter())
    predictions = classifier.predict(test_features)
    times.append(time.perf_counter())
    write_answer(out, test_targets, predictions.tolist(), times)


if __name__ == "__main__":
    main()
