"""The order of the stages. Reads top to bottom."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.advice import next_steps
from headstart.allocator import keep_freed_memory
from headstart.budget import Clock
from headstart.data.exclude import excluded_ids
from headstart.data.kept_split import FILE, HEADER, split_rows
from headstart.data.labels import HEADER as LABELS_HEADER
from headstart.data.labels import correction_rows, read_corrections
from headstart.describe_refinement import Earlier, describe_refinement
from headstart.describe_run import describe_run
from headstart.errors import RunError
from headstart.feature_store import cap_bytes, evict
from headstart.model_card import write_model_card
from headstart.plan import Plan, load_plan
from headstart.report import write_report
from headstart.result import Result
from headstart.run_dir import KEPT, RunDir
from headstart.runtime.choose import same_again
from headstart.settings import Settings
from headstart.sources.cache_dir import cache_dir
from headstart.stages.chunk import settle_chunk
from headstart.stages.context import Context
from headstart.stages.evaluate import evaluate
from headstart.stages.find import find
from headstart.stages.finetune import finetune
from headstart.stages.label_curve import label_curve
from headstart.stages.precision import settle_precision
from headstart.stages.read import leak_warning, read_data
from headstart.stages.replace_head import replace_head
from headstart.stages.scratch import scratch_beside
from headstart.stages.select import select
from headstart.stages.shift import shift
from headstart.stages.subset import fit_rows_to_budget, score_fewer_rows, time_answers
from headstart.stages.uncertainty import calibrate_uncertainty
from headstart.stages.windows import settle_windows
from headstart.stock import products
from headstart.thumbnails import thumbnails_of
from headstart.types import Dataset, Reporter


def run_fit(
    settings: Settings,
    reporter: Reporter,
    clock: Clock,
    published: list[dict[str, Any]] | None = None,
    earlier: Earlier | None = None,
) -> Result:
    """From files to an evaluated, saved model and a report.

    published: figures of others on the same data, shown beside ours. earlier: the run that this one continues.
    Raises HeadstartError for anything the user can mend.
    """
    keep_freed_memory()
    settings, plan = replayed(settings, load_plan(Path(settings.plan)) if settings.plan else Plan())
    plan = earlier.plan if earlier else plan
    out = Path(settings.out) if settings.out else fresh_run_folder(settings.data)
    with clock.stage("read and check"):
        task, dataset, split = read_data(settings, reporter)
    run = RunDir.create(out)
    run.write_quarantine(dataset.rejected)
    run.write_csv(FILE, HEADER, split_rows(dataset, split))
    _keep_listed(run, settings, dataset)
    run.log("data", task=task.name, rows=len(dataset.examples), rejected=len(dataset.rejected), notes=dataset.notes)
    cache = Path(settings.cache_dir).expanduser() if settings.cache_dir else cache_dir()
    context = Context(settings, task, dataset, split, plan, clock, run, reporter, cache)
    context.warnings += leak_warning(dataset, split)
    _say_data(context)
    try:
        return _run_stages(context, published or [], earlier)
    finally:
        context.close()


def replayed(settings: Settings, plan: Plan) -> tuple[Settings, Plan]:
    """Both with one seed, and the plan with the engine that is asked for: those of the plan where none is given.

    A seed of 0 counts as not given. Of an engine that both name the plan keeps its setting.
    """
    seed = settings.seed or plan.seed or 0
    if settings.engine not in ("auto", plan.engine_name):
        plan = plan.with_(engine=settings.engine)
    return replace(settings, seed=seed), plan.with_(seed=seed)


def _run_stages(context: Context, published: list[dict[str, Any]], earlier: Earlier | None) -> Result:
    clock, run = context.clock, context.run
    with clock.stage("select"):
        # before other processes take a share of the machine
        context.plan = context.plan.with_(products=products.settle(context.plan.products))
        selected = select(context)
        settle_windows(context, selected)
        settle_chunk(context, selected)
        settle_precision(context, selected)
    # the stores that this run has opened stay
    evict(context.cache_dir / "features", cap_bytes(context.cache_dir), context.reporter.say)
    context.plan = context.plan.with_(
        model=selected.problem.backbone.source.id, engine=same_again(selected.extractor.engine)
    )
    time_answers(context, selected)
    score_fewer_rows(context, selected)
    fit_rows_to_budget(context, selected)
    with clock.stage("replace the head"):
        replaced = replace_head(context, selected)
    with clock.stage("fine-tune"):
        tuned = finetune(context, selected, replaced)
    with clock.stage("evaluate"):
        evaluated = evaluate(context, selected, replaced, tuned)
        uncertainty = calibrate_uncertainty(context, selected, tuned, evaluated)
    with clock.stage("find"):
        findings = find(context, selected, replaced, evaluated)
    with clock.stage("prove"):
        curve = label_curve(context, selected, replaced)
        scratch = scratch_beside(context, selected, tuned)
        shifted = shift(context, selected, replaced, tuned)
    context.plan.save(run.path / "plan.json")
    run.write_predictions(evaluated.predictions)
    result = describe_run(context, selected, tuned, evaluated, findings, published) | uncertainty
    result |= {"label_curve": curve, "scratch": scratch, "shift": shifted}
    if earlier is not None:
        result |= describe_refinement(result, run.path, earlier)
    result["next_steps"] = next_steps(result, str(run.path))
    write_model_card(result, run.model, evaluated.saved.script)
    return _finish(context, result)


def _keep_listed(run: RunDir, settings: Settings, dataset: Dataset) -> None:
    """Copies of the corrections and exclusions that this run rests on: the user's files may change."""
    if settings.labels is not None:
        corrections = read_corrections(Path(settings.labels).expanduser(), dataset.columns["target"])
        run.write_csv(KEPT["labels"], LABELS_HEADER, correction_rows(corrections))
    if settings.exclude is not None:
        ids = sorted(excluded_ids(Path(settings.exclude).expanduser()))
        run.write_csv(KEPT["exclude"], ["input"], [[name] for name in ids])


def fresh_run_folder(data: str) -> Path:
    """The first runs/<data>-<n> that is free."""
    name = Path(data).expanduser().resolve().stem or "data"
    for number in range(1, 10_000):
        path = Path("runs") / f"{name}-{number}"
        if not path.exists():
            return path
    raise RunError("runs/ holds 10,000 runs of this data. Name a folder with --out.")


def _say_data(context: Context) -> None:
    dataset, split = context.dataset, context.split
    plan = (
        f"{len(split.dev)} to learn from, {len(split.test)} held out for the test"
        if len(split.test)
        else (f"fewer than 1,000, so scored by {split.n_folds}-fold cross-validation")
    )
    classes = f", {len(dataset.classes)} classes" if dataset.classes else ""
    context.reporter.say(f"{context.task.name}: {len(dataset.examples)} usable rows{classes}; {plan}")
    if dataset.rejected:
        told = ", ".join(f"{n} × {reason}" for reason, n in Counter(r.reason for r in dataset.rejected).most_common(4))
        context.reporter.say(f"{len(dataset.rejected)} rows cannot be used ({told}); see quarantine.csv")
    for note in (*dataset.notes, *context.warnings):
        context.reporter.say(note)


def _finish(context: Context, result: dict[str, Any]) -> Result:
    """Write the report and, last of all, result.json: a folder without it is not a finished run."""
    run, clock = context.run, context.clock
    overrun = -clock.left()
    if overrun > max(0.1 * clock.budget_seconds, 5):
        result["warnings"].append(f"The budget of {clock.budget_seconds:.0f} s was overrun by {overrun:.0f} s.")
    write_report(result, run.path / "report.html", thumbnails_of(result, context.dataset))
    run.write_json("result.json", result)
    run.log("finished", total_seconds=result["seconds"])
    return Result(run.path, result)
