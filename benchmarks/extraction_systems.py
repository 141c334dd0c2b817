"""One measurement of extraction.py, in a process of its own: the model loaded, a few inputs to warm up, then the clock.

python extraction_systems.py SYSTEM MODEL INPUTS.json     (prints JSON)
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import HERE, Said
from splits import model_folder

WARM = 32
KINDS = {"pip:whisper-tiny.en": "text"}  # of target, where it is not a class


def measure(system: str, model: str, inputs: Sequence[str]) -> dict[str, Any]:
    """Seconds for all inputs, decoding included."""
    if system == "headstart":
        return _headstart(model, inputs)
    sys.path.insert(0, str(HERE / "rivals"))
    run = RIVALS[system](model_folder(model))
    run(list(inputs[:WARM]))
    begin = time.perf_counter()
    run(list(inputs))
    return {"seconds": time.perf_counter() - begin}


def _headstart(model: str, inputs: Sequence[str]) -> dict[str, Any]:
    """Extraction into a fresh cache; opening (conversion, choice of engine) is timed apart."""
    from headstart import sources
    from headstart.backbones.load import load_backbone
    from headstart.features import extract, open_extractor
    from headstart.types import Example

    examples = [Example(str(i), value, None, str(i), str(i)) for i, value in enumerate(inputs)]
    backbone = load_backbone(sources.resolve(model, True, Said()), KINDS.get(model, "class"))
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as folder:
        begin = time.perf_counter()
        # recordings to text have no pooled features: their states are what is extracted
        cuts = () if backbone.features else tuple(d.cut for d in backbone.depths if d.cut)[:1]
        extractor = open_extractor(backbone, examples, Path(folder), Said(), cuts=cuts)
        opened = time.perf_counter()
        extract(extractor, examples, backbone.views[:1], Said(), "Features")
        done = time.perf_counter()
    return {"seconds": done - opened, "open_seconds": opened - begin, "engine": extractor.engine.name}


Run = Callable[[list[str]], Any]


def _timm(folder: Path, channels_last: bool = False) -> Run:
    import timm_logistic
    import torch

    network, transform = timm_logistic.load(folder)
    network = network.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    return lambda paths: timm_logistic.features(network, transform, paths, channels_last)


def _openvino(folder: Path, batch: int) -> Run:
    import openvino_throughput

    compiled, config = openvino_throughput.load(folder)
    return lambda paths: openvino_throughput.features(compiled, config, paths, batch)


def _sentence_transformers(folder: Path) -> Run:
    import sentence_logistic

    encoder = sentence_logistic.load(folder)
    return lambda texts: encoder.encode(texts, show_progress_bar=False)


def _whisper(folder: Path) -> Run:
    import whisper_encoder

    encoder, extractor = whisper_encoder.load(folder)
    return lambda paths: whisper_encoder.states(encoder, extractor, paths)


RIVALS: dict[str, Callable[[Path], Run]] = {
    "timm eager": _timm,
    "timm channels_last": lambda folder: _timm(folder, channels_last=True),
    "DataLoader + OpenVINO throughput, batch 8": lambda folder: _openvino(folder, 8),
    "DataLoader + OpenVINO throughput, batch 32": lambda folder: _openvino(folder, 32),
    "sentence-transformers": _sentence_transformers,
    "transformers encoder": _whisper,
}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text()))))
