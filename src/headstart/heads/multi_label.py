"""The head of several labels for one input: ridge on pooled features, made probabilities label by label, then tuned.

Ridge with exact leave-one-out predictions works on any targets, so also on columns of zeros and ones. Its predictions
become logits by one slope for all labels and an offset for each (Platt 1999), fitted to the leave-one-out ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Depth
from headstart.heads.classes import ClassHead
from headstart.heads.head import PLAIN, Aim, BaseFit, CandidateScore, Difference, Outputs, Tunable
from headstart.heads.linear import LinearHead
from headstart.heads.normalise import Normalisation, fold_back, normalised
from headstart.heads.ridge import RidgePath, best_penalty, ridge_fit, ridge_path
from headstart.metrics.multi_label import row_log_loss, thresholds
from headstart.metrics.sigmoid import sigmoid, sigmoid_temperature, slope_and_offsets
from headstart.problem import Problem, Rows
from headstart.types import Prediction, Reporter, Silent

Floats = NDArray[np.float64]
NEAR_TIE = 1e-4  # nats per label, below which the simpler option is taken
THRESHOLDS = "thresholds.json"


@dataclass(frozen=True)
class _Option:
    """A ridge fit that was tried. slope, offsets: from its predictions to logits."""

    feature: str
    normalisation: Normalisation
    penalty: float
    slope: float
    offsets: Floats
    score: float


@dataclass(frozen=True)
class MultiLabelHead:
    """Any number of labels for an input, scored by the binary log-loss, mean over labels.

    network: what is the same for one class each: the network behind a cut with an affine map.
    """

    decision_metric: str = "binary_log_loss"
    network: ClassHead = field(default_factory=ClassHead)

    def prepare(self, problem: Problem, rows: Rows) -> None:
        del problem, rows

    def candidate_score(self, problem: Problem, rows: Rows, reporter: Reporter) -> CandidateScore:
        """Leave-one-out loss of the best ridge head."""
        del reporter
        _, held_out, trace = _search(problem, rows)
        return CandidateScore(*self.row_scores(problem, held_out, rows), trace)

    def fit_base(self, problem: Problem, rows: Rows, folds: NDArray[np.int64] | None = None) -> BaseFit:
        best, _, trace = _search(problem, rows)
        parts = [] if folds is None else [_fit(problem, rows[folds != fold], best) for fold in np.unique(folds)]
        return BaseFit(_fit(problem, rows, best), trace, parts)

    def refit_base(self, problem: Problem, rows: Rows, like: LinearHead) -> LinearHead:
        none = np.zeros(0)
        option = _Option(like.feature, like.normalisation, like.penalty, like.temperature, none, like.loo_log_loss)
        return _fit(problem, rows, option)

    def refit_tuned(self, problem: Problem, base: LinearHead, module: Tunable, rows: Rows) -> LinearHead:
        del problem, module, rows
        return base

    def carried(self, base: LinearHead, module: Tunable) -> LinearHead:
        del module
        return base

    def random_base(self, problem: Problem) -> LinearHead:
        return self.network.random_base(problem)

    def describe_base(self, base: LinearHead) -> str:
        return f"new head on frozen features (ridge regression for each label, {base.weight.shape[1]} features)"

    def base_outputs(self, problem: Problem, base: LinearHead, rows: Rows, reporter: Reporter) -> Outputs:
        return self.network.base_outputs(problem, base, rows, reporter)

    def build(self, problem: Problem, base: LinearHead, depth: Depth) -> Tunable:
        return self.network.build(problem, base, depth)

    def step_loss(
        self, problem: Problem, module: Tunable, rows: Rows, rng: np.random.Generator, aim: Aim = PLAIN
    ) -> torch.Tensor:
        """Binary cross-entropy, each row in a view drawn at random."""
        views = [problem.features.views[i] for i in rng.integers(len(problem.features.views), size=len(rows))]
        target = torch.from_numpy(problem.label_sets(rows).astype(np.float32))
        target = target * (1 - aim.label_smoothing) + 0.5 * aim.label_smoothing
        logits = module(*problem.inputs(rows, module.cut, views))
        return nn.functional.binary_cross_entropy_with_logits(logits, target)

    def dev_loss(self, problem: Problem, module: Tunable, rows: Rows) -> float:
        logits = np.asarray(self.network.outputs(problem, module, rows, Silent()), dtype=np.float64)
        logits = logits / sigmoid_temperature(logits, problem.label_sets(rows))
        return float(self.row_scores(problem, logits, rows)[0].mean())

    def outputs(self, problem: Problem, module: Tunable, rows: Rows, reporter: Reporter) -> Outputs:
        return self.network.outputs(problem, module, rows, reporter)

    def pooled(self, problem: Problem, base: LinearHead, module: Tunable | None, rows: Rows) -> NDArray[np.float32]:
        """As the network's."""
        return self.network.pooled(problem, base, module, rows)

    def agreement(self, problem: Problem, base: LinearHead, module: Tunable, rows: Rows) -> float:
        return self.network.agreement(problem, base, module, rows)

    def calibrate(self, problem: Problem, outputs: Outputs, rows: Rows) -> float:
        """One temperature for all labels; the labels' thresholds go with it and are kept for what is made next."""
        logits, has = np.asarray(outputs, dtype=np.float64), problem.label_sets(rows)
        temperature = sigmoid_temperature(logits, has)
        problem.memo["thresholds"] = thresholds(sigmoid(logits / temperature), has)
        return temperature

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        return outputs / temperature

    def differences(self, stock: Sequence[Prediction], ours: Sequence[Prediction]) -> Difference:
        return self.network.differences(stock, ours)

    def row_scores(self, problem: Problem, outputs: Outputs, rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
        losses = row_log_loss(sigmoid(np.asarray(outputs, dtype=np.float64)), problem.label_sets(rows))
        return losses, np.ones(len(rows))

    def draws(self, problem: Problem, outputs: Outputs, rows: Rows) -> None:
        del problem, outputs, rows

    def predictions(self, problem: Problem, outputs: Outputs, rows: Rows) -> list[Prediction]:
        names, limits = problem.dataset.classes, self._thresholds(problem)
        found = []
        for row, values in zip(rows, sigmoid(np.asarray(outputs, dtype=np.float64))):
            example = problem.dataset.examples[row]
            labels = tuple(name for name, p, limit in zip(names, values, limits) if p >= limit)
            chances = {name: float(p) for name, p in zip(names, values)}
            found.append(Prediction(example.id, example.target, probabilities=chances, labels=labels))
        return found

    def save(
        self,
        problem: Problem,
        base: LinearHead,
        module: Tunable | None,
        temperature: float,
        folder: Path,
        classes: Sequence[str],
    ) -> str:
        layout = self.network.save(problem, base, module, temperature, folder, classes)
        limits = dict(zip(classes, map(float, self._thresholds(problem))))
        (folder / THRESHOLDS).write_text(json.dumps(limits, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        config = folder / "config.json"
        content = json.loads(config.read_text(encoding="utf-8"))
        content["problem_type"] = "multi_label_classification"  # as transformers' classifiers know it
        config.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return layout

    def _thresholds(self, problem: Problem) -> NDArray[np.float64]:
        found: NDArray[np.float64] = problem.memo.get("thresholds", np.full(problem.n_classes, 0.5))
        return found


def _search(problem: Problem, rows: Rows) -> tuple[_Option, Floats, list[dict[str, Any]]]:
    """The option with the lowest leave-one-out loss, its held-out logits (n, C), and a line for each."""
    has = problem.label_sets(rows)
    groups = np.unique(problem.groups[rows], return_inverse=True)[1]
    tried: list[tuple[_Option, Floats]] = []
    for name in problem.backbone.features:
        values = problem.features.pooled(name, rows)
        kinds: list[Normalisation] = ["raw", "standardised"]
        if problem.backbone.allow_l2.get(name, False):
            kinds.append("l2")
        bias = name not in problem.backbone.without_bias
        tried += [_best_penalty(name, kind, values, has, groups, bias) for kind in kinds]
    lowest = min(option.score for option, _ in tried)
    best, held_out = next((o, h) for o, h in tried if o.score <= lowest + NEAR_TIE)
    trace = [
        {"kind": "ridge", "feature": o.feature, "normalisation": o.normalisation, "penalty": o.penalty,
         "score": o.score, "scored_by": "leave-one-out", "chosen": o is best}
        for o, _ in tried
    ]  # fmt: skip
    return best, held_out, trace


def _best_penalty(
    name: str, kind: Normalisation, values: NDArray[Any], has: NDArray[np.bool_], groups: NDArray[Any], bias: bool
) -> tuple[_Option, Floats]:
    x, _, _ = normalised(values, kind, bias)
    single = int(groups.max()) + 1 == len(groups)
    path = ridge_path(x, has.astype(np.float64), None, None if single else groups, bias)
    index, (score, slope, offsets, logits) = best_penalty(path, lambda i: _scored(path, i, has), lambda found: found[0])
    return _Option(name, kind, float(path.lambdas[index]), slope, offsets, score), logits


def _scored(path: RidgePath, index: int, has: NDArray[np.bool_]) -> tuple[float, float, Floats, Floats]:
    held_out = path.leave_one_out(index)
    slope, offsets = slope_and_offsets(held_out, has)
    logits = slope * held_out + offsets
    return float(row_log_loss(sigmoid(logits), has).mean()), slope, offsets, logits


def _fit(problem: Problem, rows: Rows, option: _Option) -> LinearHead:
    """The option fitted to these rows; without offsets (from an earlier head) they are found on these rows."""
    has = problem.label_sets(rows)
    bias = option.feature not in problem.backbone.without_bias
    x, mean, factor = normalised(problem.features.pooled(option.feature, rows), option.normalisation, bias)
    weight, intercept = ridge_fit(x, has.astype(np.float64), option.penalty, bias)
    offsets = option.offsets
    if not len(offsets):
        _, offsets = slope_and_offsets(x @ weight.T + intercept, has, option.slope)
    weight, intercept = fold_back(weight, intercept, mean, factor)
    if not bias:  # what ships is a matrix alone
        offsets = np.zeros_like(offsets)
    return LinearHead(
        weight=np.ascontiguousarray(option.slope * weight, dtype=np.float32),
        bias=(option.slope * intercept + offsets).astype(np.float32),
        feature=option.feature,
        normalisation=option.normalisation,
        kind="ridge",
        description=f"ridge on {option.normalisation} '{option.feature}' features, penalty {option.penalty:.3g}",
        loo_log_loss=option.score,
        penalty=option.penalty,
        temperature=option.slope,
        has_bias=bias,
    )
