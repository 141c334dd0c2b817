"""The head of several labels: held-out logits are those of refits, probabilities are calibrated, thresholds travel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.data.label_sets import joined
from headstart.heads.multi_label import MultiLabelHead
from headstart.metrics.sigmoid import sigmoid
from headstart.problem import Problem
from headstart.types import Dataset, Example, Silent

HEAD = MultiLabelHead()
ROWS = np.arange(300)


def problem(noise: float = 1.0) -> Any:
    """Three labels, each on a direction of its own among ten."""
    rng = np.random.default_rng(0)
    has = rng.random((300, 3)) < [0.5, 0.3, 0.15]
    values = noise * rng.normal(size=(300, 10))
    values[:, :3] += 2.0 * has
    names = ("a", "b", "c")
    examples = tuple(
        Example(str(i), "", joined(n for n, h in zip(names, row) if h), str(i), str(i)) for i, row in enumerate(has)
    )
    dataset = Dataset("t", "text", Path(), examples, (), names, {}, "", several=True)
    features: Any = SimpleNamespace(pooled=lambda name, rows: values[rows].astype(np.float32))
    backbone: Any = SimpleNamespace(features=("mean",), allow_l2={"mean": True}, without_bias=())
    zeros = np.zeros(300, dtype=np.int64)
    return Problem(dataset, backbone, features, zeros, ROWS, 0)


def test_held_out_scores_are_honest_and_fold_heads_are_fitted_without_their_fold() -> None:
    made = problem()
    folds = ROWS % 3
    fitted = HEAD.fit_base(made, ROWS, folds)
    held = [HEAD.base_outputs(made, base, ROWS[folds == f], Silent()) for f, base in enumerate(fitted.fold_bases)]
    rows = np.concatenate([ROWS[folds == f] for f in range(3)])
    out_of_fold = HEAD.row_scores(made, np.concatenate(held), rows)[0].mean()
    leave_one_out = HEAD.candidate_score(made, ROWS, Silent()).value
    learnt = HEAD.row_scores(made, HEAD.base_outputs(made, fitted.base, ROWS, Silent()), ROWS)[0].mean()
    assert leave_one_out == pytest.approx(out_of_fold, abs=0.02)
    assert learnt < leave_one_out < np.log(2)
    again = HEAD.refit_base(made, ROWS[folds != 0], like=fitted.base)
    np.testing.assert_allclose(again.weight, fitted.fold_bases[0].weight, rtol=1e-4, atol=1e-5)


def test_probabilities_are_right_as_often_as_they_say() -> None:
    made = problem(noise=1.5)
    fitted = HEAD.fit_base(made, ROWS)
    chances = sigmoid(HEAD.base_outputs(made, fitted.base, ROWS, Silent()))
    has = made.label_sets(ROWS)
    assert chances.mean(0) == pytest.approx(has.mean(0), abs=0.03)
    sure = chances > 0.8
    assert has[sure].mean() == pytest.approx(chances[sure].mean(), abs=0.08)


def test_predictions_hold_the_labels_whose_thresholds_are_reached() -> None:
    made = problem()
    outputs = HEAD.base_outputs(made, HEAD.fit_base(made, ROWS).base, ROWS, Silent())
    temperature = HEAD.calibrate(made, outputs, ROWS)
    assert temperature == pytest.approx(1.0, abs=0.35)
    found = HEAD.predictions(made, HEAD.tempered(outputs, temperature), ROWS)
    limits = dict(zip(made.dataset.classes, made.memo["thresholds"]))
    for prediction in found[:20]:
        assert prediction.labels == tuple(n for n, p in prediction.probabilities.items() if p >= limits[n])
    line = found[0].to_json()
    assert set(line) == {"input", "labels", "probabilities", "target"} and "label" not in line
