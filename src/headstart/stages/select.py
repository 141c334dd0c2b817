"""Select a pretrained model by measuring how well its untuned features fit this data."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headstart import sources
from headstart.backbones.backbone import Backbone, Depth
from headstart.backbones.load import load_backbone, stock_script
from headstart.data.split import drawing_of, group_indices, label_indices
from headstart.errors import HeadstartError, MachineError, ModelError, SettingError
from headstart.features import (
    LENGTH_EXAMPLES,
    POOLED,
    Extractor,
    extract,
    features_of,
    missing_from_cache,
    open_extractor,
)
from headstart.heads.head import CandidateScore
from headstart.metrics.intervals import paired_difference
from headstart.problem import Problem, Rows
from headstart.stages.context import Context, begins_with_inputs, offered_depths
from headstart.stock_process import StockProcess
from headstart.types import Candidate, Example, ModelSource

MAX_STATE_BYTES = 16 << 30
TUNING_SHARE = 0.7  # of the budget: a depth whose tuning must cost more is not prepared for
STEP_PASSES = 3.0  # of the network that a training step costs, forward and back
TRAININGS = 2  # three on two thirds of the rows each
EXTRACTION_SHARE = 0.4  # of the budget: a model whose features cost more than this is not considered
OPENING_SHARE = 0.3  # of the budget: when it is spent, no further candidate is opened
SCORING_SHARE = 0.1  # of the budget: what scoring all candidates may cost, which sets the number of rows
MIN_SCORING_ROWS = 100
READY_S = 10.0  # that the stock loader is waited for, so that engines are timed alone


@dataclass
class Selected:
    """The chosen backbone with its extractor, why it was chosen, and everything considered.

    exact: the extractor in float32, where that of the run is not. precision_check: what was measured before it was not.
    reading_check: what was measured before long inputs were read on, or recordings heard for less time, or why not; ""
    where that is no question.
    """

    extractor: Extractor
    problem: Problem
    candidates: list[Candidate]
    why: str
    exact: Extractor | None = None
    precision_check: str = ""
    reading_check: str = ""

    @property
    def exact_extractor(self) -> Extractor:
        """That in float32."""
        return self.exact or self.extractor


def select(context: Context) -> Selected:
    """Score every candidate on the same development rows; the lowest wins, or a faster one that equals it.

    Raises ModelError where no candidate can be loaded.
    """
    found = candidates(context)
    # its imports keep one core busy while loading a model and converting it keep the other
    context.stock = StockProcess(stock_script(found[0], context.task.target_kind))
    if len(found) == 1:
        extractor, problem = _open(context, found[0])
        return Selected(extractor, problem, [Candidate(found[0])], _why_alone(context))
    measured = [_opened(context, source, number == 0) for number, source in enumerate(found)]
    rows = scoring_rows(context, [m.extractor.rate for m in measured if m.extractor is not None])
    for m in measured:
        _score(context, m, rows)
        c = m.candidate
        context.run.log("candidate", model=c.source.id, score=c.score, model_seconds=c.seconds, note=c.note)
    best, why = _choose(context, [m for m in measured if m.score is not None], rows)
    if best is None or best.extractor is None or best.problem is None:
        faults = "; ".join(f"{m.candidate.source.id}: {m.candidate.note}" for m in measured)
        raise ModelError(f"None of the candidates could be used: {faults}")
    return Selected(best.extractor, best.problem, [m.candidate for m in measured], why)


@dataclass
class _Measured:
    candidate: Candidate
    extractor: Extractor | None = None
    problem: Problem | None = None
    score: CandidateScore | None = None


def _choose(context: Context, usable: list[_Measured], rows: Rows) -> tuple[_Measured | None, str]:
    """The lowest score, or the fastest model that the same rows cannot tell from it (paired 90% interval)."""
    if not usable:
        return None, ""
    metric = context.task.head.decision_metric.replace("_", "-")
    groups = group_indices(context.dataset)[rows]
    best = min(usable, key=lambda m: m.candidate.score or 0.0)
    told = f"{metric} {best.candidate.score:.3f} with untuned features on {len(rows)} development rows"
    count = f"lowest of {len(usable)} candidates" if len(usable) > 1 else "the only candidate that could be used"
    chosen, why = best, f"{count}: {told}"
    for other in sorted(usable, key=lambda m: -(m.extractor.rate if m.extractor else 0.0)):
        if other is best:
            break
        assert other.score is not None and best.score is not None and best.extractor and other.extractor
        difference = paired_difference(
            other.score.numerators, best.score.numerators, best.score.denominators, groups, context.rng(8)
        )
        if difference.low <= 0:
            faster = other.extractor.rate / best.extractor.rate
            why = (
                f"{faster:.1f} times as fast as {best.candidate.source.id}, the lowest of {len(usable)}, and not "
                f"measurably worse: {metric} {other.candidate.score:.3f} against {best.candidate.score:.3f} on "
                f"{len(rows)} development rows (90% interval of the difference {difference.low:+.3f} to "
                f"{difference.high:+.3f})"
            )
            chosen = other
            break
    return chosen, why


def _why_alone(context: Context) -> str:
    """Why no other model was looked at."""
    if context.settings.model != "auto":
        return "named by --model"
    if context.plan.model:
        return "named by the plan" if context.settings.plan else "the model of the run that is refined"
    return "the only model for this task on this machine"


def candidates(context: Context) -> list[ModelSource]:
    """The named model, or everything on this machine that fits the task; when nothing is here, the catalog's first."""
    settings, task = context.settings, context.task
    named = settings.model if settings.model != "auto" else None
    wanted = named if settings.plan and named else context.plan.model or named
    with context.clock.downloading():
        if wanted:
            source = sources.resolve(wanted, settings.offline, context.reporter)
            if settings.plan and context.plan.model not in (None, source.id):
                raise SettingError(
                    f"--model is {source.id}, but the plan {settings.plan} was made for {context.plan.model}, and what "
                    "else it holds may not fit another. Leave --model out, or --plan."
                )
            if source.modality != task.modality:
                fitting = ", ".join(e.id for e in sources.CATALOG.values() if task.name in e.tasks)
                raise ModelError(
                    f"{source.id} takes {source.modality} inputs, but the task is {task.name}. Models that fit: "
                    f"{fitting}."
                )
            return [source]
        fitting_ids = [e.id for e in sources.CATALOG.values() if task.name in e.tasks]
        here = [s for s in sources.installed() if s.id in fitting_ids]
        if here:
            return here
        if settings.offline or not fitting_ids:
            raise ModelError(
                f"No pretrained model for {task.name} is on this machine. Run `headstart models get "
                f"{fitting_ids[0] if fitting_ids else 'ID'}` while online, or name a folder with --model."
            )
        return [sources.get(fitting_ids[0], context.reporter)]


def scoring_rows(context: Context, rates: Sequence[float]) -> Rows:
    """Development rows to score on: whole groups, stratified by class, at most plan.select_rows, fewer for slow models.

    They are the first of those that a part of all rows would be made of.

    rates: examples per second of each candidate.
    """
    dev = context.split.dev
    passes_s = sum(1.0 / rate for rate in rates)  # of one row through all candidates
    affordable = int(SCORING_SHARE * context.settings.budget_seconds / passes_s) if rates else 0
    wanted = max(MIN_SCORING_ROWS, min(context.plan.select_rows, affordable))
    context.plan = context.plan.with_(select_rows=min(wanted, len(dev)))
    if len(dev) <= wanted:
        return dev
    return np.asarray(dev[drawing_of(context.dataset, dev, context.settings.seed).part(wanted, groups=2)])


def _open(context: Context, source: ModelSource) -> tuple[Extractor, Problem]:
    context.reporter.say(f"Loading {source.id}")
    return open_backbone(context, load_backbone(source, context.task.target_kind, context.dataset))


def open_backbone(context: Context, backbone: Backbone) -> tuple[Extractor, Problem]:
    """Its frozen part ready to run, with the states of those cuts that fit disk and budget, and its task."""
    if context.stock is not None:
        context.stock.wait_until_ready(READY_S)
    sample = engine_sample(context)
    engine = context.plan.engine or context.settings.engine
    wanted = (backbone.base_cut, *(depth.cut for depth in offered_depths(context, backbone)))
    cuts = tuple(dict.fromkeys(cut for cut in wanted if cut is not None))
    views = 1 if context.settings.depth == "head" else len(backbone.views)
    needed = context.deciding_rows if begins_with_inputs(context, backbone) else context.split.dev
    inputs = views * len(needed)
    extractor = open_extractor(backbone, sample, context.cache_dir, context.reporter, engine, cuts, inputs)
    _keep_affordable_states(context, extractor)
    context.run.log(
        "engine",
        model=backbone.source.id,
        engine=extractor.engine.name,
        why=extractor.engine.why,
        examples_per_second=extractor.rate,
        cached=extractor.part_bytes,
    )
    features = features_of(extractor, context.dataset.examples, backbone.views[:1])
    problem = Problem(
        context.dataset,
        backbone,
        features,
        label_indices(context.dataset),
        group_indices(context.dataset),
        context.settings.seed,
    )
    context.task.head.prepare(problem, context.split.dev)
    return extractor, problem


def missing_rows(context: Context, extractor: Extractor) -> int:
    """Development rows whose states or features are not in the cache; rows of the same content count once."""
    return int(are_missing(context, extractor).sum())


def are_missing(context: Context, extractor: Extractor) -> NDArray[np.bool_]:
    """Which development rows' states or features are not in the cache: of rows with the same content, the first."""
    keys = [extractor.key_of(context.dataset.examples[r]) for r in context.split.dev]
    first = {key: at for at, key in reversed(list(enumerate(keys)))}
    missing = missing_from_cache(extractor, list(first), extractor.backbone.views[0], context.reporter)
    found = np.zeros(len(keys), dtype=bool)
    found[[first[key] for key in missing]] = True
    return found


def engine_sample(context: Context) -> list[Example]:
    """Development rows drawn evenly, on which engines are timed."""
    dev = context.split.dev
    return [context.dataset.examples[r] for r in dev[:: max(1, len(dev) // LENGTH_EXAMPLES)]]


def _keep_affordable_states(context: Context, extractor: Extractor) -> None:
    """Cache the states of those cuts that fit the disk and whose tuning may fit the budget.

    The shallowest cut is kept wherever it fits; without pooled features there is nothing else to work with.
    """
    context.cache_dir.mkdir(parents=True, exist_ok=True)
    backbone, rows = extractor.backbone, len(context.split.dev)
    room = min(MAX_STATE_BYTES, shutil.disk_usage(context.cache_dir).free // 2)
    cuts = [part for part in extractor.parts if part != POOLED]
    kept: list[str] = []
    for cut in cuts:
        depth = next(d for d in backbone.depths if d.cut == cut)
        wanted = extractor.part_bytes[cut] * rows
        told = f"the states of {rows} rows at {cut} would take {wanted / 1e9:.1f} GB of {room / 1e9:.1f} GB"
        if wanted > room:
            if not backbone.features:
                raise MachineError(f"{told.capitalize()}. Free some disk space, or use fewer rows.")
            context.run.log("states not cached", cut=cut, why=told)
        elif (
            kept
            and context.settings.depth == "auto"
            and context.plan.rungs is None
            and not _may_fit(context, extractor, depth)
        ):
            context.run.log("states not cached", cut=cut, why="tuning from there would not fit the budget")
        else:
            kept.append(cut)
            room -= wanted * min(len(backbone.views), 2)
    extractor.parts = tuple(part for part in extractor.parts if part == POOLED or part in kept)
    extractor.part_bytes = {part: extractor.part_bytes[part] for part in extractor.parts}


def _may_fit(context: Context, extractor: Extractor, depth: Depth) -> bool:
    """Whether the fewest epochs at this depth could fit: a step costs STEP_PASSES behind the cut."""
    epochs = TRAININGS * extractor.backbone.recipe(depth).min_epochs
    passes = STEP_PASSES * depth.compute_share * epochs * len(context.split.dev)
    return passes / extractor.rate <= TUNING_SHARE * context.settings.budget_seconds


def _opened(context: Context, source: ModelSource, first: bool) -> _Measured:
    """Load one candidate and time its network; what keeps it from being considered becomes its note."""
    begin = time.perf_counter()
    budget = context.settings.budget_seconds
    if not first and context.clock.spent() > OPENING_SHARE * budget:
        return _Measured(Candidate(source, None, 0.0, "not tried: opening the others took its time"))
    try:
        extractor, problem = _open(context, source)
    except HeadstartError as error:
        return _Measured(Candidate(source, None, time.perf_counter() - begin, str(error)))
    seconds, rows = time.perf_counter() - begin, missing_rows(context, extractor)
    predicted = rows / extractor.rate
    if predicted > EXTRACTION_SHARE * budget and context.settings.model == "auto":
        note = f"features of {rows} rows would take about {predicted:.0f} s, too long here"
        return _Measured(Candidate(source, None, seconds, note))
    return _Measured(Candidate(source, None, seconds, ""), extractor, problem)


def _score(context: Context, measured: _Measured, rows: Rows) -> None:
    """Score an opened candidate; a fault becomes its note and the others go on."""
    extractor, problem, source = measured.extractor, measured.problem, measured.candidate.source
    if extractor is None or problem is None:
        return
    begin = time.perf_counter()
    try:
        _extract_rows(context, extractor, rows, f"Features of {source.id}")
        measured.score = context.task.head.candidate_score(problem, rows, context.reporter)
    except HeadstartError as error:
        measured.candidate = replace(measured.candidate, note=str(error))
        return
    for trial in measured.score.trace:
        context.run.log("candidate head", model=source.id, **trial)
    seconds = measured.candidate.seconds + time.perf_counter() - begin
    note = f"{extractor.rate:.0f} {problem.backbone.unit}s a second"
    measured.candidate = Candidate(source, measured.score.value, seconds, note)


def _extract_rows(context: Context, extractor: Extractor, rows: Sequence[int] | Rows, what: str) -> None:
    examples = [context.dataset.examples[r] for r in rows]
    extract(extractor, examples, extractor.backbone.views[:1], context.reporter, what)
