"""Which section does a package description belong to? With scikit-learn's interface, cross-validated.

python examples/text_classification.py [TABLE TEXT_COLUMN LABEL_COLUMN]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from sklearn.model_selection import train_test_split

from headstart.demo_data import debian
from headstart.sklearn import TransferClassifier
from headstart.sources.cache_dir import cache_dir
from headstart.types import Silent


def main() -> None:
    file, text, label = (
        sys.argv[1:4] if len(sys.argv) > 3 else (debian.prepare(cache_dir() / "demo", Silent()), "text", "section")
    )
    with Path(file).open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row[text].strip() and row[label]]
    texts, labels = [row[text] for row in rows], [row[label] for row in rows]
    train_x, test_x, train_y, test_y = train_test_split(texts, labels, test_size=0.2, stratify=labels, random_state=0)
    model = TransferClassifier(budget="2m").fit(train_x, train_y)
    print(f"right on {len(test_y)} texts that it has not seen: {model.score(test_x, test_y):.1%}")
    print("report:", Path(model.run_) / "report.html")


if __name__ == "__main__":
    main()
