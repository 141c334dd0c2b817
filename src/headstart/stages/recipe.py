"""How this data set is tuned at a depth: the family's recipe, and what few labels change about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headstart.backbones.backbone import Depth, Recipe
from headstart.stages.context import Context
from headstart.stages.select import Selected

FEW = 32  # development rows of a class, on average, up to which examples are contrasted: there it was measured
LARGER = 2  # times the batch, where each example is compared with the others in it


def recipe_of(context: Context, selected: Selected, depth: Depth) -> Recipe:
    """The recipe; contrast is 0 unless there are few labels of one class each.

    With these the deepest cached rung comes first: it takes so little time that it fits, and gains what the last block
    does not (docs/log.md).
    """
    problem = selected.problem
    recipe = problem.backbone.recipe(depth)
    if not recipe.contrast:
        return recipe
    if context.task.target_kind != "class" or len(context.split.dev) > FEW * problem.n_classes:
        return replace(recipe, contrast=0.0)
    deepest = [d.name for d in problem.backbone.depths if d.cut in problem.features.cuts][-1:]
    return replace(recipe, batch_size=LARGER * recipe.batch_size, comes_first=depth.name in deepest)


def first_depth(context: Context, selected: Selected, depths: Sequence[Depth]) -> Depth | None:
    """The one of these depths that is tried first: as the user or the plan has it, else one whose recipe says so."""
    if context.settings.depth == "auto" and not context.plan.rungs:
        for depth in depths:
            if recipe_of(context, selected, depth).comes_first:
                return depth
    return depths[0] if depths else None
