"""What a practitioner would write: sentence-transformers embeddings, then scikit-learn's logistic regression.

python sentence_logistic.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from files import arguments, read_table, write_answer


def load(folder: Path) -> Any:
    """The folder's own modules; built by hand where this version of the library wants a folder for Normalize."""
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()  # lets transformers import beside a CPU torch; nothing else of headstart is used
    from sentence_transformers import SentenceTransformer, models

    try:
        return SentenceTransformer(str(folder), device="cpu")
    except (OSError, ValueError):
        encoder = models.Transformer(str(folder), max_seq_length=256)
        pooling = models.Pooling(encoder.get_word_embedding_dimension(), pooling_mode="mean")
        return SentenceTransformer(modules=[encoder, pooling, models.Normalize()], device="cpu")


def main() -> None:
    from sklearn.linear_model import LogisticRegression

    folder, train_file, test_file, out = arguments()
    train, train_targets = read_table(train_file)
    test, test_targets = read_table(test_file)
    times = [time.perf_counter()]
    model = load(folder)
    times.append(time.perf_counter())
    train_features = model.encode(train, show_progress_bar=False)
    test_features = model.encode(test, show_progress_bar=False)
    times.append(time.perf_counter())
    classifier = LogisticRegression(max_iter=1000).fit(train_features, train_targets)
    times.append(time.perf_counter())
    predictions = classifier.predict(test_features)
    times.append(time.perf_counter())
    write_answer(out, test_targets, predictions.tolist(), times)


if __name__ == "__main__":
    main()
