"""What a practitioner would write: transformers' Trainer on the whole network, batch 16, 5e-5.

EPOCHS=3 python trainer_texts.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from files import arguments, read_table, write_answer

BATCH = 16
LEARNING_RATE = 5e-5
MAX_TOKENS = 256


def main() -> None:
    folder, train_file, test_file, out = arguments()
    (train, train_targets), (test, test_targets) = read_table(train_file), read_table(test_file)
    names = sorted(set(train_targets))
    times = [time.perf_counter()]
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()  # lets transformers import beside a CPU torch; nothing else of headstart is used
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(names))
    times.append(time.perf_counter())

    def rows(texts: list[str], targets: list[str] | None = None) -> list[dict[str, Any]]:
        given = tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]
        if targets is None:
            return [{"input_ids": ids} for ids in given]
        return [{"input_ids": ids, "labels": names.index(target)} for ids, target in zip(given, targets)]

    times.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as scratch:
        settings = TrainingArguments(
            scratch, num_train_epochs=float(os.environ.get("EPOCHS", "3")), learning_rate=LEARNING_RATE, seed=0,
            per_device_train_batch_size=BATCH, per_device_eval_batch_size=32, report_to=[], save_strategy="no",
            disable_tqdm=True, use_cpu=True,
        )  # fmt: skip
        trainer = Trainer(model, settings, DataCollatorWithPadding(tokenizer), rows(train, train_targets))
        trainer.train()
        times.append(time.perf_counter())
        answers = trainer.predict(rows(test)).predictions.argmax(1)
    times.append(time.perf_counter())
    write_answer(out, test_targets, [names[i] for i in answers], times)


if __name__ == "__main__":
    main()
