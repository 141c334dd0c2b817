"""Decide by held-out scores whether the frozen part may run in 16-bit arithmetic, where that saves time."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from headstart.features import Extractor, extract, features_of, reduced_extractor
from headstart.heads.head import Outputs
from headstart.metrics.intervals import paired_difference
from headstart.problem import Rows, spread_evenly
from headstart.stages.context import Context
from headstart.stages.select import Selected, are_missing, engine_sample, missing_rows
from headstart.stages.views import VIEW_SHARE
from headstart.types import Interval, Silent

WORTH_S = 15.0  # predicted seconds of extraction below which the check does not pay
PROBE_ROWS = 384  # at most, that are checked on
FEWEST_ROWS = 96
CHECK_SHARE = 0.5  # of the seconds of passes that 16 bits would save: what those for the check may take
TOLERATED = 0.01  # change of the decision metric, as a share of its value, that counts as none
LEAST = 0.001  # change that counts as none whatever the score
LEVEL = 0.95  # of the interval that must lie within what is tolerated


@dataclass(frozen=True)
class _Check:
    """What a head loses on the same held-out rows through 16-bit features.

    kept: heads fitted and scored on them, as the run will be; shipped: fitted on them and scored in float32, as the
    saved model will be. Differences to float32 alone; score: its own.
    """

    rows: int
    score: float
    kept: Interval
    shipped: Interval

    @property
    def is_harmless(self) -> bool:
        limit = max(LEAST, TOLERATED * abs(self.score))
        return all(-limit <= d.low and d.high <= limit for d in (self.kept, self.shipped))

    @property
    def sentence(self) -> str:
        widest = max(abs(v) for d in (self.kept, self.shipped) for v in (d.low, d.high))
        return f"held-out score {self.score:.3f} moves by at most {widest:.4f} on {self.rows} rows (95% intervals)"


def settle_precision(context: Context, selected: Selected) -> None:
    """Swap the extractor for the one in 16-bit arithmetic where held-out scores do not move and it saves time.

    What was chosen is kept in the plan, what was measured in the log and beside the engines in the cache.
    """
    planned = context.plan.precision
    if planned == "f32" or not selected.problem.backbone.features:
        context.plan = context.plan.with_(precision="f32")
        return
    file = _stored_check(context, selected)
    known = _read(file)
    if planned is None and known is None and _predicted_seconds(context, selected) < WORTH_S:
        context.plan = context.plan.with_(precision="f32")
        return
    exact = selected.extractor
    reduced = reduced_extractor(exact, engine_sample(context))
    if isinstance(reduced, str):
        context.run.log("precision", chosen="f32", why=reduced)
        if planned:
            context.warnings.append(f"The plan asks for 16-bit features, which are not used here: {reduced}.")
        context.plan = context.plan.with_(precision="f32")
        return
    is_final = known is not None and known.rows >= PROBE_ROWS
    rows: Rows = context.split.dev[:0] if is_final else _affordable_rows(context, selected, reduced)
    fewest, check = min(FEWEST_ROWS, len(context.split.dev)), known
    if check is None and len(rows) < fewest:
        why = f"checking {fewest} rows would cost more than {CHECK_SHARE:.0%} of what 16 bits would save"
        context.run.log("precision", chosen="f32", why=why)
        context.plan = context.plan.with_(precision="f32")
        return
    if check is None or check.rows < len(rows):  # what a short run has seen does not bind a long one
        check = _measured(context, selected, reduced, rows)
        _write(file, check)
    use = planned is not None or check.is_harmless
    context.run.log("precision", chosen=reduced.engine.precision if use else "f32", why=check.sentence, **asdict(check))
    context.plan = context.plan.with_(precision="16-bit" if use else "f32")
    if use:
        selected.exact, selected.extractor = exact, reduced
        selected.precision_check = check.sentence
        backbone = selected.problem.backbone
        selected.problem.features = features_of(reduced, context.dataset.examples, backbone.views[:1])


def _predicted_seconds(context: Context, selected: Selected) -> float:
    """Of what is still to be extracted: the plain inputs, and further views where tuning may use them."""
    extractor, views = selected.extractor, selected.problem.backbone.views
    plain = missing_rows(context, extractor) / extractor.rate
    if context.settings.depth == "head" or len(views) == 1:
        return plain
    further = (len(views) - 1) * len(context.split.dev) / extractor.rate
    return plain + min(further, VIEW_SHARE * max(0.0, context.clock.left() - plain))


def _affordable_rows(context: Context, selected: Selected, reduced: Extractor) -> Rows:
    """Development rows of all folds, those that are cached already before others; as many as the check may cost.

    A plan that asks for 16 bits has the fewest in any case. What is counted are passes of the network.
    """
    exact, dev = selected.extractor, context.split.dev
    is_missing = are_missing(context, exact)
    cached, others = dev[~is_missing], dev[is_missing]
    gain = reduced.engine.examples_per_second / exact.engine.examples_per_second
    network = min(1.0, exact.rate / (exact.speedup * exact.engine.examples_per_second))  # the rest is decoding
    saved_share = network * (1 - 1 / gain)
    saved_s = saved_share * min(_predicted_seconds(context, selected), max(0.0, context.clock.left()))
    row_s, other_s = (1 - saved_share) / exact.rate, (2 - saved_share) / exact.rate
    least = FEWEST_ROWS if context.plan.precision else 0
    first = min(PROBE_ROWS, len(cached), max(least, int(CHECK_SHARE * saved_s / row_s)))
    more = min(PROBE_ROWS - first, max(least - first, int((CHECK_SHARE * saved_s - first * row_s) / other_s), 0))
    if first < len(cached):
        more = 0
    return np.sort(np.concatenate([spread_evenly(cached, first), spread_evenly(others, more)]))


def _measured(context: Context, selected: Selected, reduced: Extractor, rows: Rows) -> _Check:
    """Heads fitted without each fold, on features of both kinds, and scored on the fold."""
    problem, head, exact = selected.problem, context.task.head, selected.extractor
    examples = [context.dataset.examples[r] for r in rows]
    view = problem.backbone.views[:1]
    for extractor in (exact, reduced):
        extract(extractor, examples, view, context.reporter, "Do 16 bits do")
    place = {int(r): i for i, r in enumerate(context.split.dev)}
    folds = context.split.folds[[place[int(r)] for r in rows]]
    features = {name: features_of(e, context.dataset.examples, view) for name, e in (("f32", exact), ("16", reduced))}

    def scored(fitted_on: str, scored_on: str) -> tuple[Outputs, Rows]:
        outputs, order = [], []
        problem.features = features[fitted_on]
        bases = head.fit_base(problem, rows, folds).fold_bases
        problem.features = features[scored_on]
        for base, fold in zip(bases, np.unique(folds), strict=True):
            held: Rows = rows[folds == fold]
            outputs.append(head.base_outputs(problem, base, held, Silent()))
            order.append(held)
        return np.concatenate(outputs), np.concatenate(order)

    try:
        plain, order = scored("f32", "f32")
        kept, _ = scored("16", "16")
        shipped, _ = scored("16", "f32")
    finally:
        problem.features = features["f32"]
    before, denominators = head.row_scores(problem, plain, order)
    groups = problem.groups[order]
    differences = [
        paired_difference(
            head.row_scores(problem, outputs, order)[0], before, denominators, groups, context.rng(9), level=LEVEL
        )
        for outputs in (kept, shipped)
    ]
    return _Check(len(rows), float(before.sum() / denominators.sum()), *differences)


def _stored_check(context: Context, selected: Selected) -> Path:
    """Where the check for this network, these labels and these folds is kept."""
    examples = [context.dataset.examples[r] for r in context.split.dev]
    named = hashlib.sha256(selected.extractor.engine.key.encode())
    for example, fold in zip(examples, context.split.folds):
        named.update(f"{example.digest}|{example.target}|{fold}\n".encode(errors="surrogatepass"))
    kept = selected.extractor.kept
    return kept.with_name(f"{kept.name}-{named.hexdigest()[:16]}-precision.json")


def _read(file: Path) -> _Check | None:
    """A check made earlier; None where there is none or it cannot be read, and is made again."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        kept, shipped = (Interval(**content[name]) for name in ("kept", "shipped"))
        return _Check(int(content["rows"]), float(content["score"]), kept, shipped)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(file: Path, check: _Check) -> None:
    """A full disk only costs the next run the check."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(check), indent=2), encoding="utf-8")
