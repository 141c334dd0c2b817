"""Find what is wrong in the data: label errors, copies, leaks, outliers, hopeless classes, columns that tell the label.

Works on what the run has kept (ids, groups, features, out-of-fold outputs, test predictions): no network runs here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headstart.findings.columns import Association, associations
from headstart.findings.duplicates import copies
from headstart.findings.finding import Finding, Found
from headstart.findings.label_errors import ERROR_PROBABILITY, label_errors
from headstart.findings.neighbours import nearest, unit_rows, vote
from headstart.findings.outliers import FALSE_FLAGS, MIN_ROWS, mahalanobis, outliers
from headstart.findings.separability import auc_interval, confused_pairs
from headstart.metrics.calibration import softmax
from headstart.problem import Rows, spread_evenly
from headstart.stages.context import Context
from headstart.stages.evaluate import Evaluated
from headstart.stages.relabel import relabelling_gain
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected

NEIGHBOURS = 10
MOST_ROWS = 20_000  # compared with each other; beyond that an even part of them
PRODUCTS_PER_SECOND = 2e10  # multiply-adds of a slow machine, for deciding whether there is time
SMALL_CLASS = 10  # distinct examples below which nothing can be said about a class
ANOTHER_FORM = 0.99  # explained by a column, from where it may be the label itself
MIN_GROUPS = 10  # values of a column, from which it can be split by
MOST_PAIRS = 500  # of classes, those most often taken for each other

LABEL_RULE = (
    f"probability of at least {ERROR_PROBABILITY:.0%} that the label is wrong, by out-of-fold predictions and nearest "
    "neighbours together; only where wrong labels explain the data better than hard examples do (test at 1%)"
)
OUTLIER_RULE = (
    f"Mahalanobis distance from its class mean beyond what {FALSE_FLAGS} rows of a data set this large are expected to "
    f"exceed, and among the 1% that are furthest from their {NEIGHBOURS}th nearest row"
)
COPY_RULE = "same content as an earlier row (exact), or the same but for encoding, size, case or spaces (near)"
LEAK_RULE = "test row with the same content, near copy or group as a training row"
CLASS_RULE = (
    f"fewer than {SMALL_CLASS} distinct examples, or a 95% interval of the out-of-fold area under the ROC curve that "
    "includes 0.5 (chance): against all others, or against one other class"
)
COLUMN_RULE = (
    "explains at least 25% of the label's variation by itself; permutation test at 1%, all columns together, on one "
    "row of each group"
)


def find(context: Context, selected: Selected, replaced: Replaced, evaluated: Evaluated) -> dict[str, Any]:
    """The content of result.json's `findings`; writes a CSV file for each that found something.

    Labels and features of development rows only; test rows by id, group and the predictions made by evaluate.
    """
    checks: dict[str, Callable[[], Finding]] = {"duplicates": lambda: _duplicates(context)}
    if context.split.method == "given":
        checks["leaks"] = lambda: _leaks(context, evaluated)
    if context.dataset.classes and context.task.exclusive_classes:
        if context.dataset.side:
            checks["columns"] = lambda: _columns(context, selected)
        checks["classes"] = lambda: _classes(context, selected, replaced)
        if len(context.split.dev) >= MIN_ROWS:
            # both come from one neighbour search
            checks |= _by_neighbours(context, selected, replaced)
    found: dict[str, Any] = {}
    for name, check in checks.items():
        try:
            finding = check()
        except KeyboardInterrupt:
            context.warnings.append("Interrupted while looking for faults in the data.")
            break
        except _NoTimeError as reason:
            found[name] = {"count": 0, "rows": [], "skipped": str(reason)}
            continue
        found[name] = finding.to_json()
        if finding.lines:
            context.run.write_csv(f"findings/{name}.csv", finding.header, finding.cells())
    for name, content in found.items():
        context.run.log("find", name=name, **{k: v for k, v in content.items() if k != "rows"})
    return found


class _NoTimeError(Exception):
    pass


def _duplicates(context: Context) -> Finding:
    examples = context.dataset.examples
    labelled = bool(context.dataset.classes) and context.dataset.framing is None
    found = copies(examples, range(len(examples)), labelled)
    lines = []
    for copy in found:
        row, first = examples[copy.row], examples[copy.first]
        kind = "same content as" if copy.exact else "near copy of"
        told = f", but labels differ: {row.target} and {first.target}" if copy.conflict else ""
        target = row.target if context.dataset.framing is None else ""
        lines.append(Found(row.id, 1.0 if copy.exact else 0.5, f"{kind} {first.id}{told}", target or ""))
    facts = {"exact": sum(c.exact for c in found), "conflicts": sum(c.conflict for c in found)}
    return Finding("duplicates", "input", COPY_RULE, len(examples), tuple(lines), facts)


def _leaks(context: Context, evaluated: Evaluated) -> Finding:
    """Test rows known from training, and the score without them."""
    examples, task, test = context.dataset.examples, context.task, context.split.test
    known = {examples[r].group: r for r in reversed(context.split.dev.tolist())}
    near = {examples[r].near: r for r in reversed(context.split.dev.tolist())}
    leaked = np.array([examples[r].group in known for r in test])
    lines = []
    for row in test[leaked]:
        same = near.get(examples[row].near)
        told = "same group as" if same is None else "same content as, or near copy of,"
        other = examples[known[examples[row].group] if same is None else same]
        lines.append(Found(examples[row].id, 1.0, f"{told} the training row {other.id}", examples[row].target or ""))
    facts: dict[str, Any] = {}
    if leaked.any() and not leaked.all():
        kept = [p for p, gone in zip(evaluated.predictions, leaked) if not gone]
        _, groups = np.unique([examples[r].group for r in test[~leaked]], return_inverse=True)
        without = task.score(kept, groups, context.rng(21)).metrics[task.headline]
        facts = {"with": evaluated.scores.metrics[task.headline].to_json(), "without": without.to_json()}
        context.warnings.append(
            f"Without the {leaked.sum()} test rows known from training the {task.headline} is "
            f"{100 * without.value:.1f}% (95% interval {100 * without.low:.1f}% to {100 * without.high:.1f}%), "
            f"with them {100 * evaluated.scores.metrics[task.headline].value:.1f}%."
        )
    return Finding("leaks", "input", LEAK_RULE, len(test), tuple(lines), facts)


def _columns(context: Context, selected: Selected) -> Finding:
    """Columns of the user's table that tell the label, on one development row of each group."""
    problem, dev = selected.problem, context.split.dev
    rows = dev[np.unique(problem.groups[dev], return_index=True)[1]]
    _, labels = np.unique(problem.labels[rows], return_inverse=True)
    tested: dict[str, Any] = {}
    for name, values in context.dataset.side.items():
        codes = np.unique([values[r] for r in rows], return_inverse=True)[1]
        if codes.max() > 0:
            tested[name] = codes
    results = dict(zip(tested, associations(list(tested.values()), labels, context.rng(22)))) if tested else {}
    strong = sorted((name for name, r in results.items() if r.strong), key=lambda name: -results[name].tau)
    lines = [Found(name, results[name].tau, _confounded(results[name])) for name in strong]
    for name in strong[:3]:
        context.warnings.append(
            f"Column {name!r} tells the label without looking at the inputs: {_confounded(results[name])}. "
            f"{_advice(name, results[name].tau, int(tested[name].max()) + 1)}"
        )
    return Finding("columns", "column", COLUMN_RULE, len(tested), tuple(lines))


def _advice(name: str, tau: float, values: int) -> str:
    if tau > ANOTHER_FORM:
        return "If it is the label in another form, nothing is wrong."
    grouped = f"Try --group-column {name}, or collect" if values >= MIN_GROUPS else "Collect"
    return f"If the inputs show what it holds, the score may rest on that. {grouped} examples that break the link."


def _confounded(found: Association) -> str:
    return (
        f"right in {100 * found.right:.0f} of 100 rows, the commonest label in {100 * found.majority:.0f} "
        f"(explains {100 * found.tau:.0f}% of the variation, p {'≤' if found.p <= 0.005 else '='} {found.p:.3f})"
    )


def _out_of_fold(context: Context, selected: Selected, replaced: Replaced) -> tuple[Rows, Any]:
    """Rows and calibrated probabilities of the untuned head that had not seen them."""
    head, rung = context.task.head, replaced.rung
    temperature = head.calibrate(selected.problem, rung.outputs, rung.rows)
    return np.asarray(rung.rows), softmax(np.asarray(head.tempered(rung.outputs, temperature), dtype=np.float64))


def _classes(context: Context, selected: Selected, replaced: Replaced) -> Finding:
    problem, names = selected.problem, context.dataset.classes
    rows, probabilities = _out_of_fold(context, selected, replaced)
    labels, groups, logs = problem.labels[rows], problem.groups[rows], np.log(np.maximum(probabilities, 1e-12))
    distinct = np.array([len(np.unique(groups[labels == c])) for c in range(len(names))])
    lines = [
        Found(
            names[c], float(distinct[c]), f"{distinct[c]} distinct examples: too few to say how well it is recognised"
        )
        for c in np.flatnonzero(distinct < SMALL_CLASS)
    ]
    large = np.flatnonzero(distinct >= SMALL_CLASS)
    hopeless = set()
    for c in large:
        others = np.log(np.maximum(1.0 - probabilities[:, c], 1e-12))
        value, low, high = auc_interval(logs[:, c] - others, labels == c, groups)
        if low <= 0.5:
            hopeless.add(int(c))
            lines.append(Found(names[c], value, f"not told apart from the others: {_auc(value, low, high)}"))
    for a, b in confused_pairs(probabilities, labels, MOST_PAIRS) if len(names) > 2 else []:
        if hopeless & {a, b} or not {a, b} <= set(large.tolist()):
            continue
        both = (labels == a) | (labels == b)
        value, low, high = auc_interval(logs[both, a] - logs[both, b], labels[both] == a, groups[both])
        if low <= 0.5:
            told = f"not told apart from each other: {_auc(value, low, high)}"
            lines.append(Found(f"{names[a]} / {names[b]}", value, told))
    return Finding("classes", "class", CLASS_RULE, len(names), tuple(lines))


def _auc(value: float, low: float, high: float) -> str:
    return f"area under the ROC curve {value:.2f} (95% interval {low:.2f} to {high:.2f}; chance is 0.50)"


def _by_neighbours(context: Context, selected: Selected, replaced: Replaced) -> dict[str, Callable[[], Finding]]:
    """Label errors and outliers, which share features and neighbours."""
    problem = selected.problem
    all_rows, probabilities = _out_of_fold(context, selected, replaced)
    part = spread_evenly(np.arange(len(all_rows)), MOST_ROWS)
    rows, labels, groups = all_rows[part], problem.labels[all_rows[part]], problem.groups[all_rows[part]]
    memo: dict[str, Any] = {}

    def look() -> tuple[Any, Any, Any]:
        """Features (N, D), and each row's neighbours with their similarities."""
        if not memo:
            features = problem.features.pooled(replaced.final.feature, rows)
            count, width = features.shape
            needed_s = 1.0 + (count * count * width + 2 * count * width * width) / PRODUCTS_PER_SECOND
            if needed_s > context.clock.left():
                raise _NoTimeError(
                    f"not looked for: about {needed_s:.0f} s needed, {max(context.clock.left(), 0):.0f} s left"
                )
            memo["found"] = (features, *nearest(unit_rows(features), groups, NEIGHBOURS))
        found: tuple[Any, Any, Any] = memo["found"]
        return found

    return {
        "label_errors": lambda: _label_errors(
            context, selected, replaced, rows, probabilities[part], labels, look()[1]
        ),
        "outliers": lambda: _outliers(context, rows, labels, *look()),
    }


def _label_errors(
    context: Context,
    selected: Selected,
    replaced: Replaced,
    rows: Rows,
    probabilities: Any,
    labels: Any,
    neighbours: Any,
) -> Finding:
    examples, names = context.dataset.examples, context.dataset.classes
    found = label_errors(probabilities, vote(neighbours, labels, len(names)), labels)
    flagged = np.flatnonzero(found.flagged)
    lines = []
    for i in flagged[np.argsort(-found.surprise[flagged], kind="stable")]:
        better = int(found.suggested[i])
        near = neighbours[i][neighbours[i] >= 0]
        told = (
            f"{names[better]} with probability {probabilities[i, better]:.2f}, {names[labels[i]]} with "
            f"{probabilities[i, labels[i]]:.2f}; of {len(near)} nearest rows {(labels[near] == better).sum()} are "
            f"{names[better]}, {(labels[near] == labels[i]).sum()} are {names[labels[i]]}"
        )
        lines.append(Found(examples[rows[i]].id, float(found.wrong[i]), told, names[labels[i]], names[better]))
    facts: dict[str, Any] = {"noise_rate": found.noise_rate, "noise_test": found.test}
    if len(flagged):
        facts |= relabelling_gain(context, selected, replaced, rows[flagged], found.suggested[flagged])
    return Finding("label_errors", "input", LABEL_RULE, len(rows), tuple(lines), facts)


def _outliers(context: Context, rows: Rows, labels: Any, features: Any, neighbours: Any, similar: Any) -> Finding:
    del neighbours
    examples = context.dataset.examples
    far = 1.0 - np.where(np.isfinite(similar[:, -1]), similar[:, -1], np.nanmin(similar[np.isfinite(similar)]))
    spread = mahalanobis(features, labels)
    chosen, limit, lonely = outliers(spread, far)
    flagged = np.flatnonzero(chosen)
    lines = [
        Found(
            examples[rows[i]].id,
            float(spread[i] / limit),
            f"Mahalanobis distance {spread[i]:.1f} (limit {limit:.1f}), cosine distance to the "
            f"{similar.shape[1]}th nearest row {far[i]:.2f} (limit {lonely:.2f})",
            examples[rows[i]].target or "",
        )
        for i in flagged[np.argsort(-spread[flagged], kind="stable")]
    ]
    return Finding("outliers", "input", OUTLIER_RULE, len(rows), tuple(lines))
