"""ELPV solar cells: `headstart fit --depth head` against timm features with scikit-learn's logistic regression."""

from __future__ import annotations

from head_to_head import Comparison, main
from headstart.demo_data import elpv

COMPARISON = Comparison(
    name="elpv_head",
    task="image-classification",
    model="pip:efficientnet-lite0",
    prepare=elpv.prepare,
    columns={"input": "file_name", "target": "label"},
    test_size=0.25,
    rival="timm_logistic.py",
    rival_name="timm eager + LogisticRegressionCV",
)

if __name__ == "__main__":
    main(COMPARISON, __doc__)
