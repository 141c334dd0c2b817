"""Debian sections: `headstart fit --depth head` against sentence-transformers with logistic regression."""

from __future__ import annotations

from head_to_head import Comparison, main
from headstart.demo_data import debian

COMPARISON = Comparison(
    name="text_head",
    task="text-classification",
    model="pip:all-minilm-l6-v2",
    prepare=debian.prepare,
    columns={"input": "text", "target": "section", "group": "source"},
    test_size=0.2,
    rival="sentence_logistic.py",
    rival_name="sentence-transformers + LogisticRegression",
)

if __name__ == "__main__":
    main(COMPARISON, __doc__)
