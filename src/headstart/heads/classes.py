"""The head of class tasks: an affine map on pooled features, closed-form first, then tuned with the last block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import SCRATCH, Depth
from headstart.heads.head import (
    PLAIN,
    Aim,
    BaseFit,
    CandidateScore,
    Difference,
    Outputs,
    Tunable,
    tuned_weights,
)
from headstart.heads.linear import LinearFit, LinearHead, fit_linear_head, refit_linear_head
from headstart.metrics.calibration import fold_temperature, softmax, tempered_log_loss
from headstart.metrics.similarity import linear_cka
from headstart.problem import Problem, Rows
from headstart.transferability import h_score, log_me
from headstart.types import Prediction, Reporter

OUTPUT_BATCH = 128
CONTRAST_TEMPERATURE = 0.1


class _Classifier(Tunable):
    """A network behind a cut, and a linear head on one of its pooled features."""

    def __init__(self, cut: str | None, suffix: nn.Module, head: LinearHead) -> None:
        super().__init__(cut)
        self.suffix = suffix
        self.feature = head.feature
        self.head = nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.set_head(head)

    def set_head(self, head: LinearHead) -> None:
        """Take these weights for the head; it reads the same feature."""
        self.unit_length = head.normalisation == "l2"
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(head.weight))
            self.head.bias.copy_(torch.from_numpy(head.bias))
        self.head.bias.requires_grad_(head.has_bias)

    def pooled(self, *state: torch.Tensor) -> torch.Tensor:
        """What the head reads (B, D), before rows are brought to unit length."""
        features: torch.Tensor = self.suffix(*state)[self.feature]
        return features

    def forward(self, *state: torch.Tensor) -> torch.Tensor:
        return self.logits(self.pooled(*state))

    def logits(self, pooled: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C)."""
        if self.unit_length:
            pooled = nn.functional.normalize(pooled, dim=-1)
        logits: torch.Tensor = self.head(pooled)
        return logits


def contrast(pooled: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Supervised contrastive loss of features (B, D) with labels (B,), nats (Khosla et al. 2020, L_out).

    Each row tells those of its own class from the others by cosine likeness; 0 where no row has a companion.
    """
    unit = nn.functional.normalize(pooled, dim=-1)
    itself = torch.eye(len(labels), dtype=torch.bool)
    likeness = (unit @ unit.T / CONTRAST_TEMPERATURE).masked_fill(itself, -torch.inf)
    companions = (labels[:, None] == labels[None, :]) & ~itself
    counts = companions.sum(1)
    if not counts.any():
        return pooled.sum() * 0.0
    log_shares = (likeness - likeness.logsumexp(1, keepdim=True)).masked_fill(~companions, 0.0)
    found: torch.Tensor = -(log_shares.sum(1)[counts > 0] / counts[counts > 0]).mean()
    return found


@dataclass(frozen=True)
class ClassHead:
    """Single-label classes, scored by log-loss."""

    decision_metric: str = "log_loss"

    def prepare(self, problem: Problem, rows: Rows) -> None:
        del problem, rows

    def candidate_score(self, problem: Problem, rows: Rows, reporter: Reporter) -> CandidateScore:
        """Leave-one-out log-loss of the best ridge head."""
        del reporter
        head, held_out, trace, _ = self._fit(problem, rows, kinds=("ridge",))
        features = problem.features.pooled(head.feature, rows).astype(np.float64)
        labels = problem.labels[rows]
        published = {"log_me": log_me(features, labels), "h_score": h_score(features, labels)}
        return CandidateScore(*self.row_scores(problem, held_out, rows), [*trace, published])

    def fit_base(self, problem: Problem, rows: Rows, folds: NDArray[np.int64] | None = None) -> BaseFit:
        head, _, trace, fold_heads = self._fit(problem, rows, kinds=("ridge", "logistic"), folds=folds)
        return BaseFit(head, trace, list(fold_heads))

    def refit_base(self, problem: Problem, rows: Rows, like: LinearHead) -> LinearHead:
        features = {like.feature: problem.features.pooled(like.feature, rows)}
        return refit_linear_head(like, features, problem.labels[rows], problem.n_classes)

    def refit_tuned(self, problem: Problem, base: LinearHead, module: Tunable, rows: Rows) -> LinearHead:
        """Chosen among the kinds of head that the first one was chosen among, on the feature that it reads."""
        assert isinstance(module, _Classifier)
        tuned = {base.feature: self.pooled(problem, base, module, rows)}
        head = _fit(problem, tuned, rows, kinds=("ridge", "logistic")).head
        module.set_head(head)
        return head

    def _fit(
        self, problem: Problem, rows: Rows, kinds: Sequence[str], folds: NDArray[np.int64] | None = None
    ) -> LinearFit:
        features = {name: problem.features.pooled(name, rows) for name in problem.backbone.features}
        return _fit(problem, features, rows, kinds, folds)

    def carried(self, base: LinearHead, module: Tunable) -> LinearHead:
        del module
        return base

    def random_base(self, problem: Problem) -> LinearHead:
        """Drawn as torch draws a linear layer: uniform within 1 / sqrt(D)."""
        backbone = problem.backbone
        feature, network = backbone.features[0], backbone.live().eval()
        with torch.inference_mode():
            width = network(*problem.inputs(np.array([0]), None))[feature].shape[-1]
        drawn = np.random.default_rng(problem.seed).uniform(-1, 1, (problem.n_classes, width)) / width**0.5
        weight, bias = drawn.astype(np.float32), np.zeros(problem.n_classes, dtype=np.float32)
        with_bias = feature not in backbone.without_bias
        return LinearHead(weight, bias, feature, "raw", "random", "random weights", float("nan"), 0.0, 1.0, with_bias)

    def describe_base(self, base: LinearHead) -> str:
        kind = {"ridge": "ridge regression in closed form", "logistic": "logistic regression"}[base.kind]
        return f"new head on frozen features ({kind}, {base.weight.shape[1]} {base.feature} features)"

    def base_outputs(self, problem: Problem, base: LinearHead, rows: Rows, reporter: Reporter) -> Outputs:
        del reporter
        return base.logits(problem.features.pooled(base.feature, rows))

    def build(self, problem: Problem, base: LinearHead, depth: Depth) -> Tunable:
        network = problem.backbone.live() if depth == SCRATCH else problem.backbone.suffix(depth.cut)
        return _Classifier(depth.cut, network, base)

    def step_loss(
        self, problem: Problem, module: Tunable, rows: Rows, rng: np.random.Generator, aim: Aim = PLAIN
    ) -> torch.Tensor:
        """Cross-entropy, each row in a view drawn at random; where wanted, a contrast between the rows beside it."""
        assert isinstance(module, _Classifier)
        views = [problem.features.views[i] for i in rng.integers(len(problem.features.views), size=len(rows))]
        target = torch.from_numpy(problem.labels[rows])
        pooled = module.pooled(*problem.inputs(rows, module.cut, views))
        loss = nn.functional.cross_entropy(module.logits(pooled), target, label_smoothing=aim.label_smoothing)
        return loss + aim.contrast * contrast(pooled, target) if aim.contrast else loss

    def dev_loss(self, problem: Problem, module: Tunable, rows: Rows) -> float:
        logits = self._logits(problem, module, rows).astype(np.float64)
        labels = problem.labels[rows]
        # what ships has its temperature set: confidence alone is no reason to stop
        return tempered_log_loss(logits, labels)[0]

    def outputs(self, problem: Problem, module: Tunable, rows: Rows, reporter: Reporter) -> Outputs:
        del reporter
        return self._logits(problem, module, rows)

    def _logits(self, problem: Problem, module: Tunable, rows: Rows) -> NDArray[np.float32]:
        return _in_batches(problem, module, module, rows)

    def pooled(self, problem: Problem, base: LinearHead, module: Tunable | None, rows: Rows) -> NDArray[np.float32]:
        """Pooled features (n, D) that the head reads: cached ones, or those of a tuned module."""
        if module is None:
            return problem.features.pooled(base.feature, rows)
        assert isinstance(module, _Classifier)
        return _in_batches(problem, module, module.pooled, rows)

    def agreement(self, problem: Problem, base: LinearHead, module: Tunable, rows: Rows) -> float:
        return linear_cka(self.pooled(problem, base, None, rows), self.pooled(problem, base, module, rows))

    def calibrate(self, problem: Problem, outputs: Outputs, rows: Rows) -> float:
        return fold_temperature(outputs.astype(np.float64), problem.labels[rows])

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        return outputs / temperature

    def differences(self, stock: Sequence[Prediction], ours: Sequence[Prediction]) -> Difference:
        largest = max(
            abs(a.probabilities[c] - b.probabilities[c]) for a, b in zip(stock, ours) for c in b.probabilities
        )
        told = f"probabilities after saving and loading differ by at most {largest:.0e} over {len(ours)} inputs"
        return Difference(largest, 1e-3, 1e-2, told)

    def row_scores(self, problem: Problem, outputs: Outputs, rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
        from headstart.metrics.classification import row_log_loss

        return row_log_loss(softmax(outputs.astype(np.float64)), problem.labels[rows]), np.ones(len(rows))

    def draws(self, problem: Problem, outputs: Outputs, rows: Rows) -> None:
        del problem, outputs, rows

    def predictions(self, problem: Problem, outputs: Outputs, rows: Rows) -> list[Prediction]:
        classes = problem.dataset.classes
        found = []
        for row, values in zip(rows, softmax(outputs.astype(np.float64))):
            example = problem.dataset.examples[row]
            chances = {name: float(p) for name, p in zip(classes, values)}
            found.append(Prediction(example.id, example.target, classes[int(np.argmax(values))], chances))
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
        head, tuned = base, {}
        if module is not None:
            assert isinstance(module, _Classifier)
            weight, bias = module.head.weight.detach().numpy(), module.head.bias.detach().numpy()
            head, tuned = replace(base, weight=weight, bias=bias), tuned_weights(module, "suffix")
        head = replace(head, weight=head.weight / np.float32(temperature), bias=head.bias / np.float32(temperature))
        return problem.backbone.save(folder, tuned, head, classes)


def _fit(
    problem: Problem,
    features: dict[str, NDArray[np.float32]],
    rows: Rows,
    kinds: Sequence[str],
    folds: NDArray[np.int64] | None = None,
) -> LinearFit:
    """The best head on these features (n, D) by name, of the rows in their order."""
    return fit_linear_head(
        features,
        problem.labels[rows],
        problem.n_classes,
        problem.groups[rows],
        np.random.default_rng(problem.seed),
        allow_l2=problem.backbone.allow_l2,
        without_bias=problem.backbone.without_bias,
        kinds=kinds,
        folds=folds,
    )


def _in_batches(
    problem: Problem, module: Tunable, answer: Callable[..., torch.Tensor], rows: Rows
) -> NDArray[np.float32]:
    """What the module answers (n, width), computed in order of length so that little is padded."""
    order = np.argsort(problem.features.lengths(rows), kind="stable")
    found = []
    module.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), OUTPUT_BATCH):
            part = order[start : start + OUTPUT_BATCH]
            found.append(answer(*problem.inputs(rows[part], module.cut)).numpy())
    answers: NDArray[np.float32] = np.concatenate(found)
    return answers[np.argsort(order, kind="stable")]
