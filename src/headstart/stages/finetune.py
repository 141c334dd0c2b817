"""Climb the depth ladder: tune one rung deeper as long as held-out rows show that it pays and the time allows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from headstart.backbones.backbone import Depth
from headstart.features import extract
from headstart.heads.head import Tunable
from headstart.stages.context import Context, Rung, offered_depths
from headstart.stages.final_training import train_final
from headstart.stages.fold import network_of
from headstart.stages.recipe import first_depth
from headstart.stages.replace_head import Replaced
from headstart.stages.rung import Attempt, attempt_rung
from headstart.stages.select import Selected, missing_rows
from headstart.stages.tuning_plan import reserve, stock_answer_s
from headstart.stages.views import add_views, choose_views
from headstart.types import Interval

STATES_SHARE = 0.5  # of the time left, for a depth's states: the training takes about as long
LEAST_FINAL = 0.5  # of its last training that has to fit where a rung is better than a tuned one, but not clearly
MOST_FAILURES = 2  # rungs in a row that do not pay end the ladder: a last block may have too little room to learn


@dataclass
class Tuned:
    """module: the tuned network to ship, or None where the untuned rung ships. base: the untuned head behind either.
    kept: the attempt that it comes of, whose folds have not learnt from all rows.
    """

    module: Tunable | None
    base: Any
    rungs: list[Rung]
    why: str
    kept: Attempt | None = None

    @property
    def chosen(self) -> Rung:
        """The rung that ships."""
        return next(r for r in self.rungs if r.chosen)


@dataclass
class _Ladder:
    """rungs: everything tried. kept: the deepest rung that paid, None before the first. reasons: one a step. refused:
    why depths were not possible, by name; later there is less time for them.
    """

    rungs: list[Rung]
    kept: Attempt | None = None
    reasons: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def finetune(context: Context, selected: Selected, replaced: Replaced) -> Tuned:
    """Climb until two rungs in a row do not pay, or one does not fit; Ctrl-C and the end of time keep the last."""
    ladder = _Ladder([replaced.rung])
    try:
        _climb(context, selected, replaced, ladder)
    except KeyboardInterrupt:
        context.warnings.append("Interrupted during tuning; the rung before was kept.")
        ladder.reasons.append("interrupted during tuning")
    module, base = _shipped(context, selected, replaced, ladder)
    shipped = ladder.kept.rung if ladder.kept else replaced.rung
    shipped.chosen = True
    why = "; ".join(ladder.reasons)
    context.run.log("depth", chosen=shipped.name, why=why)
    return Tuned(module, base, ladder.rungs, why, ladder.kept)


def _climb(context: Context, selected: Selected, replaced: Replaced, ladder: _Ladder) -> None:
    forced = context.settings.depth
    if forced == "head" and not offered_depths(context, selected.problem.backbone):
        ladder.reasons.append(f"{context.task.untuned} asked for with --depth head")
        return
    depths = _reachable(context, selected)
    if not depths and context.plan.rungs is not None:
        ladder.reasons.append("the plan leaves tuning out")
    elif not depths:
        ladder.reasons.append("the states that tuning starts from would not fit the disk")
        context.warnings.append(f"No tuning: {ladder.reasons[-1]}.")
    context.reserve_seconds = reserve(context, selected, replaced, replaced.seconds_per_output)
    if depths:
        _prepare_views(context, selected, replaced)
    planned, failures = context.plan.rungs, 0
    most: float | None = None  # that is kept back: what an untouched model's answers take
    context.plan = context.plan.with_(rungs=planned or ())
    early = _early(context, selected, replaced, ladder, depths)
    for depth in [early.depth, *(d for d in depths if d != early.depth)] if early else depths:
        if ladder.kept and depths.index(depth) < depths.index(ladder.kept.depth):
            continue
        attempt = early if early and depth == early.depth else _attempt(context, selected, replaced, ladder, depth)
        if isinstance(attempt, str):
            ladder.reasons.append(f"tuning the {depth.part} was left out: {attempt}")
            if len(ladder.rungs) == 1:
                context.warnings.append(f"No tuning: {attempt}.")
            return
        ladder.rungs.append(attempt.rung)
        if planned is None:
            context.plan = context.plan.with_(rungs=(*(context.plan.rungs or ()), attempt.plan))
        difference = attempt.rung.difference
        assert difference is not None
        is_better = _is_better(context, ladder, attempt)
        ladder.reasons.append(_reason(context, depth, difference, is_better))
        if forced == "auto" and not (difference.high < 0 or is_better):
            failures += 1
            if failures == MOST_FAILURES:
                return
            continue
        ladder.kept, failures = attempt, 0
        if context.task.control_is_untuned:  # an untouched model may repeat itself for long; a tuned one was timed
            most = context.reserve_seconds if most is None else most
            answer_s = min(stock_answer_s(context, attempt.rung, attempt.answer_s), replaced.seconds_per_output)
            context.reserve_seconds = min(most, reserve(context, selected, replaced, answer_s))
        _carry_on(context, selected, replaced, attempt)


def _is_better(context: Context, ladder: _Ladder, attempt: Attempt) -> bool:
    """Whether a rung is better than a tuned one by its estimate, clearly or not, and can learn from all rows as well.

    That tuning pays has to be clear, and the tuned rung before was. Which of two tuned depths ships is decided by the
    better estimate: both took their time, and to stay with the shallower one would on average lose what it is behind.
    """
    difference = attempt.rung.difference
    assert difference is not None
    if ladder.kept is None or not ladder.kept.is_tuned:
        return False
    left = context.clock.left() - context.reserve_seconds
    fits = LEAST_FINAL * attempt.final_s <= left and not any(fold.trained.stopped for fold in attempt.folds)
    return difference.value < 0 and fits


def _early(
    context: Context, selected: Selected, replaced: Replaced, ladder: _Ladder, depths: list[Depth]
) -> Attempt | None:
    """The depth that its recipe puts before the shallower ones, tried where it fits; else None."""
    first = first_depth(context, selected, depths)
    if first is None or first == depths[0]:
        return None
    attempt = _attempt(context, selected, replaced, ladder, first)
    return None if isinstance(attempt, str) else attempt


def _carry_on(context: Context, selected: Selected, replaced: Replaced, attempt: Attempt) -> None:
    """Let the next rung start from the head that this one trained, where heads are trained and not fitted."""
    for number, fold in enumerate(attempt.folds):
        module = network_of(context, selected, attempt.depth, fold, attempt.share)
        replaced.bases[number] = context.task.head.carried(replaced.bases[number], module)


def _attempt(context: Context, selected: Selected, replaced: Replaced, ladder: _Ladder, depth: Depth) -> Attempt | str:
    """Try one rung, keeping back what the last training of the rung before will take."""
    if depth.name in ladder.refused:
        return ladder.refused[depth.name]
    kept_back = ladder.kept.final_s if ladder.kept else 0.0
    context.reserve_seconds += kept_back
    try:
        attempt = _complete_states(context, selected, depth) or attempt_rung(
            context, selected, replaced, ladder.kept, depth
        )
    finally:
        context.reserve_seconds -= kept_back
    if isinstance(attempt, str):
        ladder.refused[depth.name] = attempt
    return attempt


def _complete_states(context: Context, selected: Selected, depth: Depth) -> str:
    """Compute the states of this depth that are still missing, or say why there is no time for that."""
    if depth.cut is None or selected.problem.backbone.features:
        return ""  # pooled features and states come in one pass
    left = max(context.clock.left() - context.reserve_seconds, 0.0)
    states_s = missing_rows(context, selected.extractor) / selected.extractor.rate
    if states_s > STATES_SHARE * left:
        return f"it does not fit the budget ({left:.0f} s left for it, its states alone would take {states_s:.0f} s)"
    examples = [context.dataset.examples[r] for r in context.split.dev]
    extract(selected.extractor, examples, selected.problem.backbone.views[:1], context.reporter, "Features")
    return ""


def _reachable(context: Context, selected: Selected) -> list[Depth]:
    """Offered depths whose states are cached; those that need none come after all that do."""
    cached = selected.problem.features.cuts
    found = []
    for depth in offered_depths(context, selected.problem.backbone):
        if depth.cut is not None and depth.cut not in cached:
            if context.settings.depth == "auto":
                continue
            return []
        found.append(depth)
    is_open = context.settings.depth == "auto" and not context.plan.rungs
    return found if any(d.cut for d in found) or not is_open else []


def _prepare_views(context: Context, selected: Selected, replaced: Replaced) -> None:
    if context.plan.views is not None:
        add_views(context, selected, context.plan.views)
        return
    left = context.clock.left() - context.reserve_seconds
    context.plan = context.plan.with_(views=choose_views(context, selected, replaced, left))


def _reason(context: Context, depth: Depth, difference: Interval, is_better: bool) -> str:
    """One step of the ladder in words. is_better: than a tuned rung by its estimate."""
    metric, forced = context.task.head.decision_metric.replace("_", "-"), context.settings.depth
    low, high, what = difference.low, difference.high, f"tuning the {depth.part}"
    told = f"{metric} {difference.value:+.3f} on held-out folds (90% interval {low:+.3f} to {high:+.3f})"
    if forced != "auto":
        return f"asked for with --depth {forced}; {told}"
    if high < 0:
        return f"{what} paid: {told}"
    if is_better:
        return f"{what} did better than the depth before, though not clearly: {told}"
    if low > 0:
        return f"{what} did harm: {told}"
    return f"{what} did not pay: {told}, and the interval does not exclude zero"


def _shipped(context: Context, selected: Selected, replaced: Replaced, ladder: _Ladder) -> tuple[Tunable | None, Any]:
    """The network of the kept rung (None where that is the untuned one), and its untuned head."""
    if ladder.kept is None:
        return None, replaced.final
    begin = time.perf_counter()
    shipped = train_final(context, selected, ladder.kept)
    ladder.kept.rung.seconds += time.perf_counter() - begin
    return shipped.module, shipped.base
