"""What a practitioner would write: sentence-transformers embeddings, then a logistic regression for each tag.

python sentence_tags.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json
Answers with probabilities of each tag, and with the threshold that has the highest F1 on five folds.
"""

from __future__ import annotations

import json

import numpy as np
from files import arguments, read_table
from sentence_logistic import load

SEPARATOR = ";"
THRESHOLDS = np.linspace(0.05, 0.95, 37)


def main() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import cross_val_predict

    folder, train_file, test_file, out = arguments()
    train, train_targets = read_table(train_file)
    test, _ = read_table(test_file)
    model = load(folder)
    features, others = (model.encode(texts, show_progress_bar=False) for texts in (train, test))
    listed = [set(target.split(SEPARATOR)) for target in train_targets]
    names = sorted(set().union(*listed))
    chances, thresholds = [], []
    for name in names:
        labels = np.array([name in tags for tags in listed])
        classifier = LogisticRegression(max_iter=1000)
        held = cross_val_predict(classifier, features, labels, cv=5, method="predict_proba")[:, 1]
        thresholds.append(float(max(THRESHOLDS, key=lambda t: f1_score(labels, held >= t, zero_division=0))))
        chances.append(classifier.fit(features, labels).predict_proba(others)[:, 1].tolist())
    answer = {"names": names, "thresholds": thresholds, "probabilities": np.array(chances).T.tolist()}
    out.write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
