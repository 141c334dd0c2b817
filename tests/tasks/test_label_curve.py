"""The label curve of a class task: measured on rows that were left out, refused where there are too few or no time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.heads.linear import fit_linear_head
from headstart.tasks.label_curve import SEEDS, class_label_curve


def problem(rows: int = 400, classes: int = 2, noise: float = 1.0, copies: int = 1) -> tuple[Any, Any]:
    """Classes that lie apart in 3 of 30 dimensions. copies: rows of a group, all the same."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows // copies) % classes
    values = rng.normal(size=(len(labels), 30)) * noise
    values[:, :3] += np.random.default_rng(1).normal(size=(classes, 3))[labels] * 1.5
    labels, values = np.repeat(labels, copies), np.repeat(values, copies, axis=0).astype(np.float32)
    groups = np.repeat(np.arange(rows // copies), copies)
    features = SimpleNamespace(pooled=lambda name, used: values[used])
    found = SimpleNamespace(labels=labels, groups=groups, features=features, n_classes=classes, seed=0)
    base = fit_linear_head({"native": values}, labels, classes, groups, rng, allow_l2=False).head
    return found, base


def test_errors_fall_with_labels_and_are_measured_on_other_rows() -> None:
    found, base = problem()
    measured = class_label_curve(found, base, np.arange(400), 60.0)
    assert not isinstance(measured, str)
    assert measured.errors.shape[0] == SEEDS and measured.errors.shape[1] == len(measured.sizes) == 6
    assert measured.sizes[0] == 16 and measured.sizes[-1] == 261
    mean = measured.mean()
    assert mean[0] > mean[-1] + 0.05
    assert measured.rows.sum(1) == pytest.approx(np.full(SEEDS, 400 / 3), abs=2)


def test_copies_of_a_learnt_row_are_not_scored() -> None:
    # labels without any relation to the features: a row could only be right by its copy
    found, base = problem(rows=600, copies=3)
    found.labels = np.repeat(np.random.default_rng(5).integers(2, size=200), 3)
    measured = class_label_curve(found, base, np.arange(600), 60.0)
    assert not isinstance(measured, str)
    assert abs(measured.mean()[-1] - 0.5) < 0.12


def test_too_few_rows_or_seconds_are_said() -> None:
    found, base = problem(rows=60)
    assert class_label_curve(found, base, np.arange(60), 60.0) == (
        "60 labelled rows of 2 classes are too few for a curve"
    )
    found, base = problem()
    told = class_label_curve(found, base, np.arange(400), 0.0)
    assert isinstance(told, str) and told.endswith("0 s are left for it")
