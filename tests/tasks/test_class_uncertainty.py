"""Sets and detector are calibrated on development rows alone, and measured on test rows or folds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.heads.classes import ClassHead
from headstart.metrics.calibration import softmax
from headstart.metrics.conformal import CalibrationScores, true_class_scores
from headstart.tasks.class_uncertainty import class_uncertainty, set_measures
from headstart.tasks.task import Shipped
from headstart.types import Prediction

CLASSES = ("a", "b", "c")


def made(n_dev: int = 300, n_test: int = 200, per_group: int = 1, seconds: float = 60.0) -> tuple[Any, Shipped]:
    """Three classes whose logits and features are noisy; test features of the last 20 rows lie elsewhere."""
    rng = np.random.default_rng(0)
    n = n_dev + n_test
    labels = rng.integers(3, size=n)
    logits = (2.0 * np.eye(3)[labels] + rng.normal(size=(n, 3))).astype(np.float32)
    features = (3.0 * np.eye(3, 10)[labels] + 0.3 * rng.normal(size=(n, 10))).astype(np.float32)
    features[n - 20 :, 5] += 9.0 if n_test else 0.0
    dev, test = np.arange(n_dev), np.arange(n_dev, n)
    groups = np.arange(n) // per_group
    problem = SimpleNamespace(
        dataset=SimpleNamespace(classes=CLASSES),
        labels=labels,
        groups=groups,
        features=SimpleNamespace(pooled=lambda name, rows: features[rows]),
    )
    predictions = [
        Prediction(str(row), CLASSES[labels[row]], None, dict(zip(CLASSES, softmax(logits[[row]])[0]))) for row in test
    ]
    folds = groups[dev] % 3
    base = SimpleNamespace(feature="native")
    order = rng.permutation(dev)  # rungs list their rows fold by fold, not in the order of the data
    shipped = Shipped(
        base, None, logits[order], order, folds[order], dev, folds, test, predictions, features[test], seconds
    )
    return problem, shipped


def test_measured_on_test_rows() -> None:
    problem, shipped = made()
    found = class_uncertainty(problem, shipped, np.random.default_rng(1))
    conformal, ood = found.details["conformal"], found.details["ood"]
    assert (conformal["measured_on"], conformal["rows"], conformal["groups"]) == ("test", 300, 300)
    assert [level["alpha"] for level in conformal["levels"]] == [0.01, 0.05, 0.10]
    for level in conformal["levels"]:
        assert level["coverage"]["high"] >= level["promised"] - 0.02
        assert level["threshold"] == found.scores.threshold(level["alpha"])
    sizes = [level["mean_set_size"] for level in conformal["levels"]]
    assert sizes == sorted(sizes, reverse=True)
    # 20 of 200 test rows lie elsewhere
    assert found.detector is not None
    assert 0.1 <= ood["flagged_test_rows"]["value"] <= 0.15
    assert ood["rows"] == 300


def test_scores_belong_to_development_rows_alone() -> None:
    problem, shipped = made()
    expected = CalibrationScores.of(
        true_class_scores(softmax(shipped.outputs.astype(np.float64)), problem.labels[shipped.rows]), shipped.rows
    )
    found = class_uncertainty(problem, shipped, np.random.default_rng(1))
    np.testing.assert_array_equal(found.scores.scores, expected.scores)


def test_without_test_rows_each_fold_is_judged_by_the_others() -> None:
    problem, shipped = made(n_test=0)
    found = class_uncertainty(problem, shipped, np.random.default_rng(1))
    assert found.details["conformal"]["measured_on"] == "cross_validation"
    level = found.details["conformal"]["levels"][1]
    assert level["coverage"]["low"] <= 0.95 <= level["coverage"]["high"]
    assert found.details["ood"]["flagged_test_rows"] is None


def test_one_fold_calibrates_and_is_not_measured() -> None:
    """Where time allowed a single fold of a rung, and there are no test rows."""
    problem, shipped = made(n_test=0)
    only = shipped.folds == 0
    part = replace(shipped, outputs=shipped.outputs[only], rows=shipped.rows[only], folds=shipped.folds[only])
    found = class_uncertainty(problem, part, np.random.default_rng(1))
    level = found.details["conformal"]["levels"][1]
    assert level["threshold"] == found.scores.threshold(0.05)
    assert level["coverage"] is None
    assert found.detector is not None  # its folds are those of all development rows


def test_a_tuned_network_s_features_end_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, shipped = made(seconds=0.0)
    monkeypatch.setattr(ClassHead, "pooled", lambda self, problem, base, module, rows: np.zeros((len(rows), 4)))
    found = class_uncertainty(problem, replace(shipped, module=object()), np.random.default_rng(1))  # type: ignore[arg-type]
    assert found.detector is None
    assert "the budget left no time" in found.details["ood"]["why_not"]


def test_what_few_groups_do_not_support_is_left_empty() -> None:
    problem, shipped = made(n_dev=120, per_group=4)  # 30 groups
    found = class_uncertainty(problem, shipped, np.random.default_rng(1))
    levels = found.details["conformal"]["levels"]
    assert found.details["conformal"]["groups"] == 30
    assert levels[0] == {"alpha": 0.01, "promised": 0.99, "threshold": None, "promise": None, "coverage": None,
                         "mean_set_size": None, "undecided": None}  # fmt: skip
    assert levels[1]["threshold"] is not None
    assert found.details["ood"]["level"] == pytest.approx(1 / 31)


def test_too_few_rows_for_a_detector_are_told() -> None:
    problem, shipped = made(n_dev=12, n_test=20)
    found = class_uncertainty(problem, shipped, np.random.default_rng(1))
    assert found.detector is None
    assert "12 development rows are too few" in found.details["ood"]["why_not"]


def test_set_measures_by_hand() -> None:
    """Groups of 2, 1 and 1 rows; the first covers half of its rows."""
    sets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 1]], dtype=bool)
    found = set_measures(sets, np.array([0, 1, 2, 1]), np.array([5, 5, 6, 7]), np.random.default_rng(0))
    assert found["coverage"]["value"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found["coverage"]["n"] == 3
    assert found["mean_set_size"] == 7 / 4
    assert found["undecided"] == 0.5
