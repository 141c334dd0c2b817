"""What an AutoGluon user would write: MultiModalPredictor on the same weights, within the same time.

TIME_LIMIT=600 python autogluon_fit.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json     (in the environment of rival_env.py)

AutoGluon's defaults but for the network, which is named, and two loading processes. It reads weights of a local folder
from pytorch_model.bin and wants them without the old head, so that they are copied there first.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from files import arguments, read_table, write_answer


def network(folder: Path, copy: Path) -> tuple[str, dict[str, Any]]:
    """The kind of its input, and settings that name it."""
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    if "architecture" not in config:
        return "text", {"model.names": ["hf_text"], "model.hf_text.checkpoint_name": str(copy)}
    import torch
    from safetensors.torch import load_file

    old_head = config["pretrained_cfg"].get("classifier", "classifier")
    weights = {k: v for k, v in load_file(copy / "model.safetensors").items() if not k.startswith(f"{old_head}.")}
    torch.save(weights, copy / "pytorch_model.bin")
    return "image", {"model.names": ["timm_image"], "model.timm_image.checkpoint_name": str(copy)}


def main() -> None:
    folder, train_file, test_file, out = arguments()
    (train, train_targets), (test, test_targets) = read_table(train_file), read_table(test_file)
    times = [time.perf_counter()]
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()  # lets torchvision import beside a CPU torch; nothing else of headstart is used
    import pandas
    from autogluon.multimodal import MultiModalPredictor

    with tempfile.TemporaryDirectory() as scratch:
        kind, settings = network(folder, Path(scratch) / "network")
        times += [time.perf_counter()] * 2
        predictor = MultiModalPredictor(label="target", path=str(Path(scratch) / "run"), verbosity=1)
        predictor.fit(
            pandas.DataFrame({"input": train, "target": train_targets}),
            hyperparameters={**settings, "env.num_gpus": 0, "env.num_workers": 2},
            column_types={"input": "image_path" if kind == "image" else "text"},
            time_limit=float(os.environ["TIME_LIMIT"]), seed=0,
        )  # fmt: skip
        times.append(time.perf_counter())
        answers = predictor.predict(pandas.DataFrame({"input": test}), as_pandas=False)
    times.append(time.perf_counter())
    write_answer(out, test_targets, [str(answer) for answer in answers], times)


if __name__ == "__main__":
    main()
