"""What more labels would bring: the score against the number of labels, measured and drawn on."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.metrics.learning_curve import MeasuredErrors, fit_power_law, gain_of_more, precision
from headstart.stages.context import CURVE_SHARE, Context
from headstart.stages.keep import KeptContent, labelled
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected

MORE = 100  # labels that are spoken of; half as many as there are, where these are fewer than 200
REPORT_S = 8.0


def label_curve(context: Context, selected: Selected, replaced: Replaced) -> dict[str, Any] | None:
    """The content of result.json's `label_curve`; None where the task has none. `skipped` says why it was left out."""
    measure = context.task.label_curve
    if measure is None:
        return None
    limit_s = min(CURVE_SHARE * context.clock.budget_seconds, context.clock.left() - REPORT_S)
    backbone, seed, dev = selected.problem.backbone, context.settings.seed, context.split.dev
    named = ["label curve", context.task.name, backbone.key, selected.extractor.engine.key, replaced.final.feature]
    before = KeptContent(context, [*named, str(seed), labelled(context, dev)], "label curve")
    if content := before.read():
        context.run.log("label curve", kept=True, **content)
        return dict(content)
    try:
        found = measure(selected.problem, replaced.final, dev, limit_s)
    except KeyboardInterrupt:
        context.warnings.append("Interrupted while the score against the number of labels was measured.")
        return None
    except HeadstartError as error:
        found = str(error)
    content = {"skipped": found} if isinstance(found, str) else _content(context, found)
    if "skipped" not in content:
        before.write(content)
    context.run.log("label curve", **content)
    return content


def _content(context: Context, measured: MeasuredErrors) -> dict[str, Any]:
    labels = len(context.split.dev)
    draws = measured.draws(context.rng(31))
    more = MORE if labels >= 2 * MORE else max(1, labels // 2)
    gain, doubled = (gain_of_more(measured, draws, labels, n) for n in (more, labels))
    low, high = 1.0 - np.quantile(draws, 0.975, axis=0), 1.0 - np.quantile(draws, 0.025, axis=0)
    points = [
        {"labels": int(n), "value": float(value), "low": float(a), "high": float(b)}
        for n, value, a, b in zip(measured.sizes, 1.0 - measured.mean(), low, high)
    ]
    weights = precision(draws)
    central = fit_power_law(measured.sizes, measured.mean(), weights)
    drawn = fit_power_law(measured.sizes, draws, weights)
    predicted = [
        {
            "labels": n,
            "value": float(1.0 - central.error(n)[0]),
            "low": float(1.0 - np.quantile(drawn.error(n), 0.975)),
            "high": float(1.0 - np.quantile(drawn.error(n), 0.025)),
        }
        for n in (labels, labels + labels // 2, 2 * labels)
    ]
    last = points[-1]
    told = (
        f"the untuned head is right in {100 * last['value']:.1f}% with {last['labels']:,} labels, in "
        f"{100 * points[0]['value']:.1f}% with {points[0]['labels']:,}; {more:,} more than the {labels:,} there are: "
        f"{100 * gain.value:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f}), twice as many: "
        f"{100 * doubled.value:+.1f} ({100 * doubled.low:+.1f} to {100 * doubled.high:+.1f})"
    )
    return {
        "metric": "accuracy",
        "seeds": len(measured.errors),
        "points": points,
        "predicted": predicted,
        "labels": labels,
        "extrapolation": {"labels": more, "gain": gain.value, "low": gain.low, "high": gain.high},
        "doubled": {"labels": labels, "gain": doubled.value, "low": doubled.low, "high": doubled.high},
        "sentence": f"{told[0].upper()}{told[1:]}.",
    }
