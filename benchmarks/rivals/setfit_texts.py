"""What a practitioner would write for few labels: SetFit, contrastive pairs and then logistic regression.

ITERATIONS=1 python setfit_texts.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json

ITERATIONS: pairs of each kind for each text; SetFit's default takes every pair, thousands of steps here.
"""

from __future__ import annotations

import os
import tempfile
import time

from files import arguments, read_table, write_answer
from sentence_logistic import load


def main() -> None:
    folder, train_file, test_file, out = arguments()
    (train, train_targets), (test, test_targets) = read_table(train_file), read_table(test_file)
    names = sorted(set(train_targets))
    times = [time.perf_counter()]
    body = load(folder)
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    model = SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=1000))
    times += [time.perf_counter()] * 2
    with tempfile.TemporaryDirectory() as scratch:
        settings = TrainingArguments(
            output_dir=scratch, num_iterations=int(os.environ.get("ITERATIONS", "1")), seed=0, report_to="none",
            save_strategy="no", show_progress_bar=False,
        )  # fmt: skip
        rows = Dataset.from_dict({"text": train, "label": [names.index(target) for target in train_targets]})
        Trainer(model=model, args=settings, train_dataset=rows).train()
    times.append(time.perf_counter())
    answers = model.predict(test, use_labels=False)
    times.append(time.perf_counter())
    write_answer(out, test_targets, [names[int(i)] for i in answers], times)


if __name__ == "__main__":
    main()
