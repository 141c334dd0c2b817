"""Errors of the untuned head by number of labels, on cached features: nested subsets, several seeds."""

from __future__ import annotations

import time

import numpy as np

from headstart.data.folds import grouped_folds
from headstart.data.nested import nested_sizes, nested_subsets
from headstart.heads.linear import LinearHead, refit_with_own_penalty
from headstart.metrics.learning_curve import MIN_SIZES, MeasuredErrors
from headstart.problem import Problem, Rows

SEEDS = 5
FOLDS = 3  # each seed learns from two thirds of the rows at most, and is judged on the others
PER_CLASS = 4  # labels of the smallest subset
MIN_SMALLEST = 16
MIN_RANGE = 4  # the largest subset has at least so many times the rows of the smallest


def class_label_curve(problem: Problem, base: LinearHead, rows: Rows, limit_s: float) -> MeasuredErrors | str:
    """Wrong answers on rows that were left out, with ridge on the features that `base` reads; or why there is none.

    Nothing passes through the network. limit_s: seconds that all seeds may take, predicted from the first.
    """
    labels, groups = problem.labels[rows], np.unique(problem.groups[rows], return_inverse=True)[1]
    begin = time.perf_counter()
    values = problem.features.pooled(base.feature, rows)
    measured: list[tuple[list[int], np.ndarray, np.ndarray]] = []
    for seed in range(SEEDS):
        sizes, errors, held = _one_seed(problem, base, values, labels, groups, problem.seed + 50 + seed)
        if len(sizes) < MIN_SIZES:
            return f"{len(rows)} labelled rows of {problem.n_classes} classes are too few for a curve"
        measured.append((sizes, errors, held))
        each = (time.perf_counter() - begin) / (seed + 1)
        if seed == 0 and each * SEEDS > limit_s:
            return f"it would take about {each * SEEDS:.0f} s, and {max(limit_s, 0):.0f} s are left for it"
    return MeasuredErrors(
        np.array(measured[0][0]), np.stack([m[1] for m in measured]), np.stack([m[2] for m in measured])
    )


def _one_seed(
    problem: Problem, base: LinearHead, values: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Sizes (K), errors (K, G) and held-out rows (G) of each group."""
    held = grouped_folds(labels, groups, FOLDS, seed) == 0
    learnt, count = np.flatnonzero(~held), int(groups.max()) + 1
    smallest = max(MIN_SMALLEST, PER_CLASS * problem.n_classes)
    # of every seed the same sizes, a little below what the fewest rows of a seed allow
    largest = int(len(labels) * (1 - 1 / FOLDS) * 0.98)
    if largest < MIN_RANGE * smallest:
        return [], np.zeros((0, count)), np.zeros(count)
    sizes = nested_sizes(smallest, largest)
    errors = np.zeros((len(sizes), count))
    rng = np.random.default_rng(seed)
    for k, part in enumerate(nested_subsets(labels[learnt], groups[learnt], sizes, rng)):
        used = learnt[part]
        found = refit_with_own_penalty(
            base, {base.feature: values[used]}, labels[used], problem.n_classes, groups[used]
        )
        wrong = found.logits(values[held]).argmax(1) != labels[held]
        errors[k] = np.bincount(groups[held], weights=wrong.astype(float), minlength=count)
    return sizes, errors, np.bincount(groups[held], minlength=count).astype(float)
