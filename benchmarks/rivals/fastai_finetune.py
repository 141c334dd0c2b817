"""What a fastai user would write: vision_learner on the same timm weights, aug_transforms, fine_tune(5), batch 64.

python fastai_finetune.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json     (in the environment of rival_env.py)

fastai's own defaults throughout. Its validation set is the test rows here, and they only measure the curve: fine_tune
takes no decision on them. Seconds of training and of validation are told apart, so that the rival need not pay for it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from files import arguments, read_table, write_answer

EPOCHS = 5
BATCH = 64
WORKERS = 2


def learner(folder: Path, rows: list[tuple[str, str]], train: int, size: int) -> Any:
    """rows: (path, label), the first `train` to learn from, the others to validate on."""
    import pandas
    from fastai.vision import all as fastai

    table = pandas.DataFrame(rows, columns=["name", "label"])
    table["is_valid"] = [i >= train for i in range(len(rows))]
    loaders = fastai.ImageDataLoaders.from_df(
        table, path="/", valid_col="is_valid", item_tfms=fastai.Resize(size), batch_tfms=fastai.aug_transforms(),
        bs=BATCH, num_workers=WORKERS, device="cpu",
    )  # fmt: skip
    return fastai.vision_learner(loaders, f"local-dir:{folder}", metrics=fastai.accuracy, path=folder)


def stopwatch(epochs: list[dict[str, float]]) -> Any:
    """A callback that appends, for each epoch, seconds of training and validation so far, and the accuracy."""
    from fastai.vision.all import Callback, Recorder

    class Stopwatch(Callback):
        order = Recorder.order + 1
        train_s = validate_s = 0.0

        def before_train(self) -> None:
            self.begin = time.perf_counter()

        def before_validate(self) -> None:
            now = time.perf_counter()
            self.train_s, self.begin = self.train_s + now - self.begin, now

        def after_validate(self) -> None:
            self.validate_s += time.perf_counter() - self.begin

        def after_epoch(self) -> None:
            accuracy = float(self.recorder.values[-1][-1])
            epochs.append({"train_s": self.train_s, "validate_s": self.validate_s, "accuracy": accuracy})

    return Stopwatch()


def main() -> None:
    folder, train_file, test_file, out = arguments()
    train, train_targets = read_table(train_file)
    test, test_targets = read_table(test_file)
    times = [time.perf_counter()]
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()  # lets torchvision import beside a CPU torch; nothing else of headstart is used
    import fastai
    import timm
    import torch
    from fastai.vision.all import set_seed

    set_seed(0)
    size = int(timm.create_model(f"local-dir:{folder}").default_cfg["input_size"][-1])
    rows = list(zip([*train, *test], [*train_targets, *test_targets]))
    learn = learner(folder, rows, len(train), size)
    epochs: list[dict[str, float]] = []
    watch = stopwatch(epochs)
    times += [time.perf_counter()] * 2
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(EPOCHS, cbs=watch)
        times.append(time.perf_counter())
        outputs, _ = learn.get_preds(ds_idx=1)
        times.append(time.perf_counter())
    labels = [str(learn.dls.vocab[i]) for i in outputs.argmax(1).tolist()]
    versions = {"fastai": fastai.__version__, "torch": torch.__version__, "timm": timm.__version__}
    write_answer(out, test_targets, labels, times, epochs=epochs, versions=versions)


if __name__ == "__main__":
    main()
