"""Are probabilities and conformal sets what they say? Against scikit-learn's CalibratedClassifierCV on equal features.

Both sides see the same cached features, rows and folds. headstart: the head as `fit --depth head` fits it, with one
temperature from out-of-fold logits. scikit-learn: the same head, and logistic regression on standardised features, each
calibrated by a sigmoid, by isotonic regression or by a temperature on the same folds. Coverage: a head fitted anew to
each of 200 random halves of the rows, its sets from out-of-fold scores, judged on the other half; only its kind and
penalty are chosen once, on all rows.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import elpv_head
import text_head
from common import Records, Said, crossed_interval, machine_line, parser, spread, table
from head_to_head import Comparison
from headstart import sources
from headstart.backbones.load import load_backbone
from headstart.data.folds import grouped_folds
from headstart.data.split import group_indices, label_indices, make_split
from headstart.features import LENGTH_EXAMPLES, extract, features_of, open_extractor
from headstart.heads.classes import ClassHead
from headstart.heads.linear import LinearHead, refit_linear_head
from headstart.metrics.calibration import fold_temperature, softmax
from headstart.metrics.classification import class_metrics, row_log_loss
from headstart.metrics.conformal import CalibrationScores, true_class_scores
from headstart.problem import Problem
from headstart.sources.cache_dir import cache_dir
from headstart.tasks.class_uncertainty import ALPHAS, set_measures, sets_by_alpha
from splits import read_rows

COMPARISONS = {"elpv": elpv_head.COMPARISON, "sections": text_head.COMPARISON}
OURS = "headstart: one temperature"
HEAD = ClassHead()
N_FOLDS = 3


class SameHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The head that headstart chose, fitted to whatever rows scikit-learn hands it."""

    def __init__(self, head: LinearHead, n_classes: int) -> None:
        self.head, self.n_classes = head, n_classes

    def fit(self, features: NDArray[Any], labels: NDArray[Any]) -> SameHead:
        self.classes_ = np.arange(self.n_classes)
        self.fitted_ = refit_linear_head(self.head, {self.head.feature: features}, labels, self.n_classes)
        return self

    def decision_function(self, features: NDArray[Any]) -> NDArray[Any]:
        logits = self.fitted_.logits(features)
        return logits[:, 1] - logits[:, 0] if self.n_classes == 2 else logits

    def predict(self, features: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.fitted_.logits(features).argmax(1))


@dataclass(frozen=True)
class Measured:
    """One system's probabilities for one seed's test rows, with each row's log-loss and group."""

    metrics: dict[str, float]
    log_loss: NDArray[np.float64]
    groups: NDArray[np.int64]


def main() -> None:
    """Run all seeds and resamples, write the lines, print the tables."""
    made = parser(__doc__)
    made.add_argument("--data", nargs="+", choices=list(COMPARISONS), default=list(COMPARISONS))
    made.add_argument("--seeds", type=int, default=5, help="number of splits: seeds 0, 1, …")
    made.add_argument("--resamples", type=int, default=200, help="random halves for coverage")
    made.add_argument("--dev", type=int, default=1000, help="at most so many rows in a half that is learnt from")
    made.add_argument("--limit", type=int, help="use that many rows only (for development; marked small)")
    arguments = made.parse_args()
    records = Records("calibration", arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    for name in arguments.data:
        problem = _problem(COMPARISONS[name], arguments.limit)
        seeds = range(arguments.seeds)
        found = [_one_seed(problem, COMPARISONS[name], seed) for seed in seeds]
        for seed, systems in zip(seeds, found):
            records.write("seed", data=name, seed=seed, metrics={k: m.metrics for k, m in systems.items()})
        coverage = _coverage(problem, arguments)
        records.write("coverage", data=name, resamples=arguments.resamples, levels=coverage)
        print(_tables(name, problem, found, coverage, arguments), end="\n\n")
    print(machine_line())


def _problem(comparison: Comparison, limit: int | None) -> Problem:
    """The rows with their cached features."""
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        data = comparison.prepare(cache_dir() / "demo", Said())
        dataset = read_rows(data, comparison.columns, limit, Path(scratch), comparison.task)
    backbone = load_backbone(sources.get(comparison.model, Said()))
    step = max(1, len(dataset.examples) // LENGTH_EXAMPLES)
    extractor = open_extractor(backbone, dataset.examples[::step], cache_dir(), Said())
    extract(extractor, dataset.examples, backbone.views[:1], Said())
    features = features_of(extractor, dataset.examples, backbone.views[:1])
    return Problem(dataset, backbone, features, label_indices(dataset), group_indices(dataset), 0)


def _one_seed(problem: Problem, comparison: Comparison, seed: int) -> dict[str, Measured]:
    split = make_split(problem.dataset, seed, comparison.test_size, False)
    fitted = HEAD.fit_base(problem, split.dev, split.folds)
    head: LinearHead = fitted.base
    held_out = np.zeros((len(split.dev), problem.n_classes))
    features = problem.features.pooled(head.feature, split.dev)
    for fold, base in enumerate(fitted.fold_bases):
        held_out[split.folds == fold] = base.logits(features[split.folds == fold])
    temperature = fold_temperature(held_out, problem.labels[split.dev])
    test = problem.features.pooled(head.feature, split.test)
    answers = {OURS: softmax(head.logits(test).astype(np.float64) / temperature)}
    cuts = [(np.flatnonzero(split.folds != f), np.flatnonzero(split.folds == f)) for f in np.unique(split.folds)]
    rivals = {
        "same head": SameHead(head, problem.n_classes),
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    }
    for named, estimator in rivals.items():
        for method in ("sigmoid", "isotonic", "temperature"):
            rival = CalibratedClassifierCV(estimator, method=method, cv=cuts, ensemble=named != "same head")
            rival.fit(features, problem.labels[split.dev])
            answers[f"scikit-learn: {named}, {method}"] = rival.predict_proba(test)
    labels, groups = problem.labels[split.test], problem.groups[split.test]
    return {
        name: Measured(class_metrics(found, labels), row_log_loss(found, labels), groups)
        for name, found in answers.items()
    }


def _coverage(problem: Problem, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """For each error rate: coverage, set size and share undecided of every resample."""
    head: LinearHead = HEAD.fit_base(problem, np.arange(len(problem.labels))).base
    features = problem.features.pooled(head.feature, np.arange(len(problem.labels)))
    found: dict[float, list[dict[str, Any]]] = {alpha: [] for alpha in ALPHAS}
    for number in range(arguments.resamples):
        rng = np.random.default_rng(number)
        scores, probabilities, test = _resample(problem, head, features, arguments.dev, rng)
        for alpha, sets in sets_by_alpha(scores, probabilities).items():
            measured = set_measures(sets, problem.labels[test], problem.groups[test], rng)
            found[alpha].append({**measured, "coverage": measured["coverage"]["value"], "groups": scores.groups})
    return [{"alpha": alpha, "resamples": rows} for alpha, rows in found.items() if rows]


def _resample(
    problem: Problem, head: LinearHead, features: NDArray[np.float32], limit: int, rng: np.random.Generator
) -> tuple[CalibrationScores, NDArray[np.float64], NDArray[np.int64]]:
    """Scores of one random half's rows, and what the head fitted to all of them says of the other half's."""
    drawn = rng.permutation(int(problem.groups.max()) + 1)
    in_dev = np.isin(problem.groups, drawn[: len(drawn) // 2])
    dev, test = np.flatnonzero(in_dev), np.flatnonzero(~in_dev)
    if len(dev) > limit:
        kept = np.cumsum(np.bincount(problem.groups[dev], minlength=len(drawn))[drawn]) <= limit
        dev = dev[np.isin(problem.groups[dev], drawn[kept])]
    labels = problem.labels[dev]
    folds = grouped_folds(labels, problem.groups[dev], N_FOLDS, int(rng.integers(2**31)))

    def refit(rows: NDArray[np.int64]) -> LinearHead:
        return refit_linear_head(head, {head.feature: features[rows]}, problem.labels[rows], problem.n_classes)

    logits = np.zeros((len(dev), problem.n_classes))
    for fold in np.unique(folds):
        logits[folds == fold] = refit(dev[folds != fold]).logits(features[dev[folds == fold]])
    temperature = fold_temperature(logits, labels)
    scores = CalibrationScores.of(true_class_scores(softmax(logits / temperature), labels), problem.groups[dev])
    return scores, softmax(refit(dev).logits(features[test]).astype(np.float64) / temperature), test


def _tables(
    name: str,
    problem: Problem,
    found: Sequence[Mapping[str, Measured]],
    coverage: Sequence[Mapping[str, Any]],
    arguments: argparse.Namespace,
) -> str:
    rows = []
    for system in found[0]:
        columns = [spread([s[system].metrics[m] for s in found], 4) for m in ("log_loss", "brier", "ece", "accuracy")]
        rows.append((system, *columns, _difference(found, system)))
    small = " (SMALL: for development only)" if arguments.limit is not None else ""
    header = ("median (range) over seeds", "log-loss", "Brier", "calibration error", "accuracy",
              "headstart's log-loss minus this (95% interval)")  # fmt: skip
    sets = []
    for level in coverage:
        covered = np.array([row["coverage"] for row in level["resamples"]])
        error = covered.std(ddof=1) / np.sqrt(len(covered)) if len(covered) > 1 else float("nan")
        size, undecided = (np.mean([row[key] for row in level["resamples"]]) for key in ("mean_set_size", "undecided"))
        sets.append((f"{1 - level['alpha']:.0%}", f"{covered.mean():.2%} ± {2 * error:.2%}",
                     f"{np.quantile(covered, 0.05):.1%} to {np.quantile(covered, 0.95):.1%}", f"{size:.2f}",
                     f"{undecided:.1%}"))  # fmt: skip
    return "\n".join([
        f"### {name}: {len(problem.labels)} rows, {problem.n_classes} classes, {len(found)} seed(s){small}", "",
        table(header, rows), "",
        table(("promised", f"covered, mean of {arguments.resamples} resamples ± 2 standard errors", "90% of resamples",
               "classes in a set", "undecided"), sets),
    ])  # fmt: skip


def _difference(found: Sequence[Mapping[str, Measured]], system: str) -> str:
    if system == OURS:
        return ""
    seeds = [i for i, s in enumerate(found) for _ in s[OURS].log_loss]
    units = [str(group) for s in found for group in s[OURS].groups]
    gaps = np.concatenate([s[OURS].log_loss - s[system].log_loss for s in found])
    value, low, high = crossed_interval(seeds, units, gaps.tolist(), [1.0] * len(seeds))
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


if __name__ == "__main__":
    main()
