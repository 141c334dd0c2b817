"""Choose the views of an input (mirrored, cropped) that do not change what the untuned head sees in it."""

from __future__ import annotations

from headstart.features import extract, features_of
from headstart.metrics.intervals import paired_difference
from headstart.problem import Rows
from headstart.stages.context import Context
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected

VIEW_SHARE = 0.35  # of the time left for tuning: what further views may cost
TOLERATED = 0.15  # rise of the decision metric, as a share of its value, up to which a view counts as harmless
PROBE_ROWS = 256


def choose_views(context: Context, selected: Selected, replaced: Replaced, left: float) -> tuple[str, ...]:
    """Offered views in order, each probed on one fold and cached for all development rows if it is harmless.

    A digit upside down is another digit: a view is only used where the head that was fitted without it, and without
    these rows, loses less than TOLERATED of its score on it. Views that differ by number are of one kind, and the
    first stands for all. left: seconds left for tuning.
    """
    backbone, dev = selected.problem.backbone, context.split.dev
    chosen = backbone.views[:1]
    room = VIEW_SHARE * left
    harmless: dict[str, bool] = {}
    for view in backbone.views[1:]:
        cost = len(dev) / selected.extractor.rate
        if cost > room:
            break
        kind = view.rstrip("0123456789")
        if kind not in harmless:
            known = context.task.views_move_targets
            harmless[kind] = known or _is_harmless(context, selected, replaced, view)
        if harmless[kind]:
            chosen = (*chosen, view)
            room -= cost
    add_views(context, selected, chosen)
    return chosen


def add_views(context: Context, selected: Selected, views: tuple[str, ...]) -> None:
    """Cache these views of all development rows, and let training draw from them. The plain one is, or will be."""
    if len(views) == 1:
        return
    examples = [context.dataset.examples[r] for r in context.split.dev]
    extract(selected.extractor, examples, views, context.reporter, "Features of further views")
    selected.problem.features = features_of(selected.extractor, context.dataset.examples, views)


def _is_harmless(context: Context, selected: Selected, replaced: Replaced, view: str) -> bool:
    """Compare the first fold's head on plain and changed inputs of rows it was not fitted on."""
    problem, head, split = selected.problem, context.task.head, context.split
    rows: Rows = split.dev[split.folds == 0][:PROBE_ROWS]
    examples = [context.dataset.examples[r] for r in rows]
    extract(selected.extractor, examples, (view,), context.reporter, f"Probing the view {view}")
    plain = head.base_outputs(problem, replaced.bases[0], rows, context.reporter)
    problem.features = features_of(selected.extractor, context.dataset.examples, (view,))
    changed = head.base_outputs(problem, replaced.bases[0], rows, context.reporter)
    problem.features = features_of(selected.extractor, context.dataset.examples, problem.backbone.views[:1])
    before, denominators = head.row_scores(problem, plain, rows)
    after, _ = head.row_scores(problem, changed, rows)
    rise = paired_difference(after, before, denominators, problem.groups[rows], context.rng(3))
    share = rise.value / max(float(before.sum() / denominators.sum()), 1e-9)
    harmless = share <= TOLERATED
    context.run.log("view", view=view, rise=rise.to_json(), share=share, used=harmless)
    return harmless
