"""Try one rung: tune it on as many folds as it takes to tell whether it does better than the rung before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.backbone import Depth
from headstart.heads.head import Outputs
from headstart.metrics.intervals import drawn_interval, paired_difference
from headstart.plan import RungPlan
from headstart.problem import Rows
from headstart.stages.context import Context, Rung
from headstart.stages.deciding import answered_rows
from headstart.stages.fold import Fold, best_share, held_outputs, tune_fold
from headstart.stages.overfitting import overfitting_facts
from headstart.stages.recipe import recipe_of
from headstart.stages.replace_head import Replaced, score_of
from headstart.stages.select import Selected
from headstart.stages.tuning_plan import SAFETY, Pace, final_epochs, hopeless, loss_misleads, plan_rung, refit_seconds
from headstart.training.weights import distance
from headstart.types import Interval

DECIDING_LEVEL = 0.90  # of the interval that must lie on the better side
EARLY_LEVEL = 0.98  # the same before all planned folds are tuned: more looks, each stricter
SIGN_LEVEL = 0.50  # of the interval that holds zero where a rung may as well be better than a tuned one as worse


@dataclass
class Attempt:
    """A rung that was tuned and scored out of fold.

    epochs: that counted for the first fold, at most plan.epochs. share: how far it goes from the untuned to the tuned
    weights. folds: the network that ships goes on from the first. step_s: seconds of a training step; pass_s: of one
    pass over all development rows; refit_s: of fitting the head anew after one; answer_s: of an answer to a held-out
    row, from its state.
    """

    depth: Depth
    plan: RungPlan
    rung: Rung
    epochs: int
    share: float
    folds: list[Fold]
    step_s: float
    pass_s: float
    refit_s: float = 0.0
    answer_s: float = 0.0

    @property
    def is_tuned(self) -> bool:
        """Whether more than a head was trained, as for boxes and letters, on the network as it came."""
        return self.depth.name != "head"

    @property
    def final_s(self) -> float:
        """Predicted seconds of the last training, of the network that ships."""
        return SAFETY * (final_epochs(self.epochs) * self.pass_s + self.refit_s)

    @property
    def pace(self) -> Pace:
        """What a step took."""
        return Pace(self.depth, self.step_s)


def attempt_rung(
    context: Context, selected: Selected, replaced: Replaced, before: Attempt | None, depth: Depth
) -> Attempt | str:
    """Tune this depth on the planned folds and compare it with the rung before; or why that was not possible.

    Fewer folds do where the comparison is clear before the last one; the time is for deeper rungs then. More are tuned
    where it is better after the last one, but not clearly, and they fit: of the rung before as well where it has not
    seen them. So they are where it is worse than a tuned rung by so little that the sign, which decides there, is
    hardly known.

    Training starts from the pretrained weights and the untuned head, not from the rung before: that was measured to
    end better (docs/log.md). before: the rung to compare with, None for the untuned one.
    """
    begin, before_s = time.perf_counter(), before.rung.seconds if before else 0.0
    if before is not None and (fault := hopeless(context, selected, depth, before.pace)):
        return fault
    module = context.task.head.build(selected.problem, replaced.bases[0], depth)
    is_planned = any(rung.name == depth.name for rung in context.plan.rungs or ())
    compared = len((before.rung if before else replaced.rung).rows)
    final_s = before.final_s if before else 0.0
    plan = plan_rung(context, selected, replaced, module, depth, compared, final_s)
    if isinstance(plan, str):
        return plan
    trial = _Trial(context, selected, replaced, before, depth, plan, is_planned or context.settings.depth != "auto")
    while True:
        stopped = trial.add_fold()
        if stopped and (not trial.folds or (trial.needs_all and len(trial.folds) < plan.folds)):
            context.warnings.append(f"Tuning the {depth.part} stopped: {stopped}; the rung before ships.")
            return stopped
        if trial.folds and trial.folds[-1].trained.stopped:
            context.warnings.append(
                f"Tuning the {depth.part} was cut short ({stopped}); what it had learnt until then counts. More time: "
                "--budget."
            )
        if stopped or trial.is_enough():
            break
    attempt = trial.attempt()
    extended_s = before.rung.seconds - before_s if before else 0.0
    attempt.rung.seconds = time.perf_counter() - begin - extended_s
    attempt.rung.reached_s = context.clock.spent()
    attempt.rung.facts |= overfitting_facts(context, selected, depth, attempt.folds[0], attempt.share)
    facts = attempt.rung.to_json(context.task.head.decision_metric)
    context.run.log("rung", rung_seconds=facts.pop("seconds"), **facts)
    return attempt


class _Trial:
    """One rung while its folds are tuned, beside the rung before.

    is_fixed: the planned number of folds is neither lowered nor raised.
    """

    def __init__(
        self,
        context: Context,
        selected: Selected,
        replaced: Replaced,
        before: Attempt | None,
        depth: Depth,
        plan: RungPlan,
        is_fixed: bool,
    ) -> None:
        self.context, self.selected, self.replaced = context, selected, replaced
        self.before, self.depth, self.plan, self.is_fixed = before, depth, plan, is_fixed
        self.needs_all = context.needs_all_folds
        self.folds: list[Fold] = []
        self.scored = 0

    def add_fold(self) -> str:
        """Tune the next fold, of the rung before as well where it has not seen it; why that broke off, or ""."""
        number, before = len(self.folds), self.before
        of = max(self.plan.folds, number + 1)
        fold = tune_fold(self.context, self.selected, self.replaced, self.depth, number, self.plan.epochs, of)
        stopped = fold.trained.stopped
        if not stopped and before is not None and number == len(before.folds):
            begin = time.perf_counter()
            stopped = _extend(self.context, self.selected, self.replaced, before)  # now, so that neither is ahead
            before.rung.seconds += time.perf_counter() - begin
        # what the first fold learnt before time ran out, or before a loss went astray, is scored like any other
        if not stopped or (fold.losses and not self.folds):
            self.folds.append(fold)
        return stopped

    def is_enough(self) -> bool:
        """Whether the comparison is clear, or is left as it is."""
        tuned = len(self.folds)
        if self.is_fixed or self.needs_all:
            return tuned >= self.plan.folds
        if tuned < self.plan.folds:
            return _is_clear(self._difference(EARLY_LEVEL))
        difference = self._difference(DECIDING_LEVEL)
        is_open = difference.value < 0 <= difference.high
        if difference.value >= 0 and self.before is not None and self.before.is_tuned:
            is_open = self._difference(SIGN_LEVEL).low <= 0
        return not (is_open and tuned < len(self.replaced.bases) and self._fits_another())

    def attempt(self) -> Attempt:
        """What came out of the folds that were tuned."""
        context, selected, folds = self.context, self.selected, self.folds
        self._score()
        epochs = folds[0].trained.best_epoch or self.plan.epochs
        rung = self._rung(epochs)
        step_s = sum(f.trained.seconds for f in folds) / sum(f.trained.steps for f in folds)
        recipe = recipe_of(context, selected, self.depth)
        pass_s = step_s * len(context.split.dev) / recipe.batch_size
        plan = replace(self.plan, folds=len(folds))
        refit_s, answer_s = refit_seconds(recipe, pass_s), self.answer_s
        if self.depth.cut is None:
            answer_s = max(0.0, answer_s - 1.0 / selected.extractor.stock_rate)
        return Attempt(self.depth, plan, rung, epochs, self.share, folds, step_s, pass_s, refit_s, answer_s)

    def _score(self) -> None:
        """Outputs of all folds so far, at the share of the way that suits them best."""
        if self.scored != len(self.folds):
            self.share, self.losses = best_share(self.folds)
            begin = time.perf_counter()
            self.outputs, self.rows, self.weights = _answers(
                self.context, self.selected, self.replaced, self.depth, self.folds, self.share
            )
            self.answer_s = (time.perf_counter() - begin) / len(self.rows)
            self.scored = len(self.folds)

    def _difference(self, level: float) -> Interval:
        self._score()
        return self._compared(level)[0]

    def _compared(self, level: float) -> tuple[Interval, float]:
        earlier = self.before.rung if self.before else self.replaced.rung
        return _compared(self.context, self.selected, earlier, self.outputs, self.rows, self.weights, level)

    def _fits_another(self) -> bool:
        before, number = self.before, len(self.folds)
        seconds = self.folds[-1].seconds
        final_s = self.attempt().final_s
        if before is not None:
            seconds += before.folds[-1].seconds if number == len(before.folds) else 0.0
            final_s = max(0.0, final_s - before.final_s)
        return self.context.clock.left() - self.context.reserve_seconds > SAFETY * seconds + final_s

    def _rung(self, epochs: int) -> Rung:
        context, folds = self.context, self.folds
        difference, before = self._compared(DECIDING_LEVEL)
        score = score_of(context, self.selected, self.outputs, self.rows, self.weights)
        rung = Rung(self.depth.name, "", score, self.outputs, self.rows, 0.0, difference, before, weights=self.weights)
        rung.description = _description(self.depth, epochs, folds)
        rung.curve = _mean_curve([fold.trained.curve for fold in folds])
        rung.facts = {
            "epochs": epochs,
            "folds": len(folds),
            "share": self.share,
            "loss_by_share": self.losses,
            "weight_distance": float(np.mean([distance(fold.start, fold.at(self.share)) for fold in folds])),
            "last_epoch_counts": loss_misleads(context, self.selected, self.depth),
        }
        return rung


def _description(depth: Depth, epochs: int, folds: Sequence[Fold]) -> str:
    return (
        f"{depth.part} tuned from {'cached states' if depth.cut else 'the inputs themselves'}, "
        f"{epochs} epoch{'s' if epochs != 1 else ''} on {len(folds)} fold{'s' if len(folds) != 1 else ''}"
        f"{', then the head fitted anew' if folds[0].refitted else ''}"
    )


def _is_clear(difference: Interval) -> bool:
    return difference.high < 0 or difference.low > 0


def _extend(context: Context, selected: Selected, replaced: Replaced, attempt: Attempt) -> str:
    """Tune one more fold of a rung that was decided on fewer; why that broke off, or ""."""
    number, rung = len(attempt.folds), attempt.rung
    fold = tune_fold(context, selected, replaced, attempt.depth, number, attempt.plan.epochs, number + 1)
    if fold.trained.stopped:
        return fold.trained.stopped
    attempt.folds.append(fold)
    outputs, rows, weights = _answers(context, selected, replaced, attempt.depth, [fold], attempt.share)
    assert rung.weights is not None  # a tuned rung's
    rung.outputs, rung.rows = np.concatenate([rung.outputs, outputs]), np.concatenate([rung.rows, rows])
    rung.weights = np.concatenate([rung.weights, weights])
    rung.score = score_of(context, selected, rung.outputs, rung.rows, rung.weights)
    rung.description = _description(attempt.depth, attempt.epochs, attempt.folds)
    rung.facts["folds"] = len(attempt.folds)
    context.run.log("rung extended", name=rung.name, folds=len(attempt.folds), score=rung.score.to_json())
    return ""


def _answers(
    context: Context, selected: Selected, replaced: Replaced, depth: Depth, folds: Sequence[Fold], share: float
) -> tuple[Outputs, Rows, NDArray[np.float64]]:
    """Out-of-fold outputs, their rows, and how many rows each of these stands for."""
    chosen = [answered_rows(context, selected, replaced.rung, fold.held) for fold in folds]
    parts = [replace(fold, held=rows) for fold, (rows, _) in zip(folds, chosen)]
    outputs, rows = held_outputs(context, selected, depth, parts, share)
    return outputs, rows, np.concatenate([weights for _, weights in chosen])


def _compared(
    context: Context,
    selected: Selected,
    earlier: Rung,
    outputs: Outputs,
    rows: Rows,
    weights: NDArray[np.float64],
    level: float,
) -> tuple[Interval, float]:
    """Difference to the rung before on the same rows, both calibrated, negative is better; and what that one scores."""
    head, problem = context.task.head, selected.problem
    position = {int(r): i for i, r in enumerate(earlier.rows)}
    common = np.array([i for i, r in enumerate(rows) if int(r) in position])
    shared = rows[common]
    theirs = earlier.outputs[[position[int(r)] for r in shared]]
    drawn = [head.draws(problem, values, shared) for values in (outputs[common], theirs)]
    if drawn[0] is not None and drawn[1] is not None:
        (value, ours), (before, earlier_draws) = drawn[0], drawn[1]
        groups = len(np.unique(problem.groups[shared]))
        return drawn_interval(value - before, ours - earlier_draws, groups, level), before
    scored = []
    for values in (outputs[common], theirs):
        temperature = head.calibrate(problem, values, shared)
        scored.append(head.row_scores(problem, head.tempered(values, temperature), shared))
    counted = weights[common]
    ours_n, theirs_n, denominators = counted * scored[0][0], counted * scored[1][0], counted * scored[0][1]
    difference = paired_difference(ours_n, theirs_n, denominators, problem.groups[shared], context.rng(2), level=level)
    return difference, float(theirs_n.sum() / denominators.sum())


def _mean_curve(curves: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Mean over the folds that reached the end of each epoch."""
    curves = [[entry for entry in curve if "dev_loss" in entry] for curve in curves]
    longest = max(len(c) for c in curves)
    return [
        {key: float(np.mean([c[i][key] for c in curves if len(c) > i])) for key in ("epoch", "train_loss", "dev_loss")}
        for i in range(longest)
    ]
