"""What would help most: steps ranked by what they are predicted to bring, each with the number behind it.

Everything is read from result.json. A step without a number behind it is not told; where its gain is not known or not
shown, it says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

Result = Mapping[str, Any]

SMALL = 0.002  # a gain whose lower end is below a fifth of a point is not shown
SMALL_SHARE = 0.01  # of all rows, below which unusable ones are not worth a step
SMALL_CLASS = 0.5  # of the middle class's rows, below which a class is small
MORE_BUDGET = 3  # times the budget where a rung was left out
TOLD = 3  # steps on the terminal
LEFT_OUT = re.compile(
    r"tuning the ([^;]+?) was left out: (?:it does not fit the budget \(([^)]*)\)|(out of time[^;]*))"
)
CUT_SHORT = {  # what a warning says, and what the time is for
    "No last training on all rows": "the last training on all rows",
    "was cut short (out of time": "the whole schedule",
}
TOO_LONG = re.compile(r"too long here|not tried")


@dataclass(frozen=True)
class Gain:
    """Of the headline metric, as a share; positive is better. kind: "measured" on held-out rows, "extrapolated" along
    a curve, "reading": of what the score reads and not of the model, or "ceiling": what it would be if all went well.
    """

    value: float
    low: float
    high: float
    kind: str

    @property
    def shown(self) -> bool:
        return self.low >= SMALL

    def at_most(self, limit: float) -> Gain:
        return replace(self, value=min(self.value, limit), low=min(self.low, limit), high=min(self.high, limit))

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "kind": self.kind}


@dataclass(frozen=True)
class Step:
    """what: labels, class, more data, budget, depth, model or rows. because: the number behind it.

    rank: 0 a predicted gain that is shown, 1 a ceiling that is shown, 2 a gain that nobody has measured, 3 not shown.
    doubted: a measurement says that there may be none. found: the cause itself is beyond doubt.
    """

    what: str
    action: str
    because: str
    gain: Gain | None = None
    command: str | None = None
    doubted: bool = False
    found: bool = False

    @property
    def rank(self) -> int:
        if self.gain is None:
            return 3 if self.doubted else 2
        if not self.gain.shown:
            return 2 if self.found else 3
        return 1 if self.gain.kind == "ceiling" else 0

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "action": self.action,
            "because": self.because,
            "gain": self.gain.to_json() if self.gain else None,
            "gain_in_words": _words(self),
            "shown": self.rank < 2,
            "worth_trying": self.rank < 3,
            "command": self.command,
        }


def next_steps(result: Result, run: str) -> dict[str, Any]:
    """The content of result.json's `next_steps`: a sentence, and steps with the most promising first."""
    found = [
        *_labels(result, run),
        _weak_class(result),
        _small_classes(result),
        _more_data(result),
        _part_of_rows(result, run) or _more_time(result, run),
        _deeper(result),
        *_models(result),
        _unusable_rows(result),
    ]
    steps = sorted((s for s in found if s is not None), key=lambda s: (s.rank, -(s.gain.value if s.gain else 0.0)))
    return {"sentence": _sentence(result, steps), "steps": [s.to_json() for s in steps]}


def step_lines(result: Result) -> list[str]:
    """The steps that are worth trying, one line each, at most TOLD."""
    told = [s for s in (result.get("next_steps") or {}).get("steps", []) if s["worth_trying"]][:TOLD]
    return [f"{s['action']} ({s['gain_in_words']})" + (f": {s['command']}" if s["command"] else "") for s in told]


def _words(step: Step) -> str:
    gain = step.gain
    if gain is None:
        return "gain not shown" if step.doubted else "gain not measured"
    told = f"{_points(gain.value)} points, {_points(gain.low)} to {_points(gain.high)}"
    if gain.kind == "ceiling":
        return f"at most {told}"
    if gain.kind == "reading":
        told += ", of what the score reads, not of the model"
    return told if gain.shown else f"gain not shown: {told}"


def _gain(measured: Mapping[str, float], kind: str) -> Gain:
    return Gain(measured["value"], measured["low"], measured["high"], kind)


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _sentence(result: Result, steps: list[Step]) -> str:
    if steps and steps[0].rank < 3:
        shown = "" if steps[0].rank < 2 else f" ({_words(steps[0])})"
        return f"What would help most: {steps[0].action}{shown}."
    labels = (result.get("findings") or {}).get("label_errors") or {}
    looked_at = labels.get("checked") if labels.get("count") == 0 else None  # neither where there was no time to look
    checked = [f"none of {looked_at:,} labels looks wrong"] if looked_at else []
    checked += ["no class lags behind the others"] if result.get("per_class") else []
    if not LEFT_OUT.search(_why(result)):
        checked.append("nothing was left out for time")
    more = _extrapolation(result)
    checked += [f"{more['labels']:,} more labels would bring about {_points(more['gain'])} points"] if more else []
    return f"Nothing that this run measured promises a clear gain{': ' if checked else ''}{', '.join(checked)}."


def _headline(result: Result) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result["metrics"][result["headline_split"]][result["headline_metric"]]
    return found


def _why(result: Result) -> str:
    return str((result.get("depth") or {}).get("why") or "")


def _labels(result: Result, run: str) -> list[Step]:
    """Likely label errors: what training on the suggestions changed on the other rows, and what wrong labels among the
    scored rows take from the score. With cross-validation both are the same rows.
    """
    found = (result.get("findings") or {}).get("label_errors") or {}
    if not found.get("count"):
        return []
    noise = float(found.get("noise_rate") or 0.0)
    told = f"about {100 * noise:.1f}% of {found['checked']:,} labels seem wrong"
    model = None
    if relabelled := found.get("relabelled"):
        model = _gain(relabelled["others"], "measured")
        told += (
            f"; with the suggestions the untuned head changed by {_points(model.value)} points ({_points(model.low)} "
            f"to {_points(model.high)}) on the {relabelled['others']['rows']:,} rows that are not listed"
        )
    reading = _reading(result, noise, float(found.get("noise_test") or 0.0))
    action = f"look at {found['count']} labels that are probably wrong, and correct them"
    command = f"headstart refine {run} --labels {run}/{found.get('file') or 'findings/label_errors.csv'}"
    if reading is None:
        return [Step("labels", action, told, model, command, found=True)]
    if result["headline_split"] != "test":
        reading = reading.at_most(found["count"] / found["checked"])
        told += f"; they make the score read about {100 * reading.value:.1f} points too low"
        return [Step("labels", action, told, _sum(model, reading), command, found=True)]
    scored = Step(
        "labels",
        "look at the test rows that it gets wrong: some of their labels are wrong too",
        f"about {100 * noise:.1f}% of the labels to learn from seem wrong, and the test rows were drawn from the same",
        reading,
        f"headstart refine {run} --labels corrected.csv",
    )
    return [scored, Step("labels", action, told, model, command, found=True)]


def _reading(result: Result, noise: float, test: float) -> Gain | None:
    """How much too low the score reads where labels are replaced at this rate, and errors of both kinds independent.

    A score m on such labels belongs to the accuracy a with m = a (1 - e) + (1 - a) e / (C - 1). Not for a test set of
    the user's own, whose labels may be better. The interval is Wald's: of the rate, from the likelihood-ratio
    statistic, and of the wrong labels among so many scored rows.
    """
    classes = len((result.get("data") or {}).get("classes") or {})
    if result["data"]["split"]["method"] == "given" or classes < 2 or noise <= 0 or test <= 0:
        return None
    score = float(_headline(result)["value"])

    def at(rate: float) -> float:
        scale = 1.0 - rate * classes / (classes - 1)
        true = (score - rate / (classes - 1)) / scale if scale > 0 else 1.0
        return max(0.0, min(1.0, true) - score)

    rows = max(1, int(_headline(result)["n"]))
    reach = 1.96 * (noise**2 / test + noise * (1.0 - noise) / rows) ** 0.5
    return Gain(at(noise), at(max(0.0, noise - reach)), at(noise + reach), "reading")


def _sum(first: Gain | None, second: Gain | None) -> Gain | None:
    """Both gains together, as if independent."""
    if first is None or second is None:
        return first or second
    low = ((first.value - first.low) ** 2 + (second.value - second.low) ** 2) ** 0.5
    high = ((first.high - first.value) ** 2 + (second.high - second.value) ** 2) ** 0.5
    value = first.value + second.value
    return replace(first, value=value, low=value - low, high=value + high)


def _weak_class(result: Result) -> Step | None:
    """The class that lags behind the middle one by more than chance and costs most."""
    rows = [c for c in result.get("per_class") or [] if c["n"]]
    if len(rows) < 2:
        return None
    total = sum(c["n"] for c in rows)
    found: list[tuple[Gain, Mapping[str, Any], float]] = []
    for row in rows:
        middle = median(c["recall"] for c in rows if c is not row)
        low, high = _recall_interval(row["recall"], row["n"], 0.05 / len(rows))
        if high < middle:
            share = row["n"] / total
            most = Gain((middle - row["recall"]) * share, (middle - high) * share, (middle - low) * share, "ceiling")
            found.append((most, row, middle))
    if not found:
        return None
    ceiling, row, middle = max(found, key=lambda f: f[0].value)
    # of two classes what one gains the other loses: where the line between them lies is no cause
    gain = ceiling if len(rows) > 2 else None
    usual = "the middle class" if len(rows) > 2 else "the other class"
    name, counts = str(row["label"]), (result.get("data") or {}).get("classes") or {}
    told = f"{100 * row['recall']:.0f}% of {row['n']} are recognised, of {usual} {100 * middle:.0f}%"
    others = [n for label, n in counts.items() if label != name]
    if others and counts.get(name, 0) <= SMALL_CLASS * median(others):
        told += f"; it has {counts[name]} examples, {usual} {median(others):.0f}"
        action = f"add examples of the class {name!r}"
    else:
        taken = _taken_for(result, name)
        action = f"look at the class {name!r}" + (f", which is taken for {taken[0]!r}" if taken else "")
        told += f"; {taken[1]} of them are taken for {taken[0]!r}" if taken else ""
    return Step("class", action, told, gain)


def _recall_interval(recall: float, count: int, tail: float) -> tuple[float, float]:
    """Clopper-Pearson, with this much outside in total."""
    from scipy.stats import beta

    hits = round(recall * count)
    low = float(beta.ppf(tail / 2, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail / 2, hits + 1, count - hits)) if hits < count else 1.0
    return low, high


def _taken_for(result: Result, name: str) -> tuple[str, int] | None:
    confusion = result.get("confusion") or {}
    labels = list(confusion.get("labels") or [])
    if name not in labels:
        return None
    at = labels.index(name)
    wrong = [(n, label) for i, (n, label) in enumerate(zip(confusion["matrix"][at], labels)) if i != at and n]
    most = max(wrong, default=None)
    return (most[1], int(most[0])) if most else None


def _small_classes(result: Result) -> Step | None:
    """Classes with too few examples to say how well they are recognised."""
    rows = ((result.get("findings") or {}).get("classes") or {}).get("rows") or []
    small = [row for row in rows if "too few" in str(row.get("reason"))]
    if not small:
        return None
    least = min(small, key=lambda row: row["score"])
    told = f"{least['class']!r} has {least['score']:.0f} distinct examples to learn from" + (
        f", and {len(small) - 1} more classes are as small" if len(small) > 1 else ""
    )
    return Step("class", f"add examples of the class {least['class']!r}", told)


def _extrapolation(result: Result) -> Mapping[str, Any] | None:
    """What more labels would bring, in accuracy; None where nobody measured it."""
    curve = result.get("label_curve") or {}
    found: Mapping[str, Any] | None = curve.get("extrapolation")
    return found if curve.get("metric") == result["headline_metric"] else None


def _more_data(result: Result) -> Step | None:
    more = _extrapolation(result)
    if not more:
        return None
    gain = Gain(more["gain"], more["low"], more["high"], "extrapolated")
    told = str((result.get("label_curve") or {}).get("sentence") or "the score against the number of labels")
    return Step("more data", f"label {more['labels']:,} more rows", told.removesuffix("."), gain)


def _more_time(result: Result, run: str) -> Step | None:
    """A rung that was left out, or a training that was cut, for want of time."""
    command = f"headstart refine {run} --budget {_longer(result)}"
    left_out = LEFT_OUT.search(_why(result))
    if left_out:
        told = f"tuning the {left_out[1]} was left out for time ({left_out[2] or left_out[3]})"
        return Step("budget", f"give more time, to tune the {left_out[1]}", told + _last_rung(result), None, command)
    for marker, what in CUT_SHORT.items():
        cut = next((w for w in result.get("warnings") or [] if marker in w and "Interrupted" not in w), None)
        if cut:
            told = cut.removesuffix(" More time: --budget.").removesuffix(".")
            return Step("budget", f"give more time, for {what}", told, None, command)
    return None


def _last_rung(result: Result) -> str:
    """What the deepest rung that was tried brought."""
    rungs = [r for r in (result.get("depth") or {}).get("rungs") or [] if r.get("difference")]
    if not rungs:
        return ""
    d, metric = rungs[-1]["difference"], str(rungs[-1].get("metric") or "loss").replace("_", "-")
    return f"; the rung before changed {metric} by {d['value']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})"


def _longer(result: Result) -> str:
    seconds = MORE_BUDGET * float(result["budget_seconds"])
    return f"{seconds / 60:.0f}m" if seconds >= 60 else f"{seconds:.0f}s"


def _part_of_rows(result: Result, run: str) -> Step | None:
    """Rows that were left out because one pass of the network over all would not fit; rungs too, where they were."""
    told = next((w for w in result.get("warnings") or [] if "rows are learnt from" in w), None)
    if told is None:
        return None
    doubled = (result.get("label_curve") or {}).get("doubled")
    numbers = [int(n) for n in re.findall(r"\d+", told)[:2]]
    gain = None
    if doubled and _extrapolation(result) and len(numbers) == 2 and 2 * numbers[0] <= numbers[1]:
        gain = Gain(doubled["gain"], doubled["low"], doubled["high"], "extrapolated")
    rung = _more_time(result, run)
    because = told.split(". ")[0].removesuffix(".") + (f"; {rung.because}" if rung else "")
    command = f"headstart refine {run} --budget {_longer(result)}"
    return Step("budget", "give more time, to learn from all rows", because, gain, command)


def _deeper(result: Result) -> Step | None:
    """A depth that was asked for and paid: the next one was not tried."""
    asked = (result.get("settings") or {}).get("depth")
    rungs = [r for r in (result.get("depth") or {}).get("rungs") or [] if r.get("difference")]
    if asked not in ("block", "third") or not rungs or not rungs[-1]["difference"]["high"] < 0:
        return None
    command = f"headstart fit {result['data']['path']} --depth auto"
    return Step("depth", "let it tune deeper", f"--depth {asked} was asked for{_last_rung(result)}", None, command)


def _models(result: Result) -> list[Step]:
    """Models that were not tried, that scored lower than the chosen one, and baselines that do better."""
    found = []
    naive = (result.get("evidence") or {}).get("naive")
    if naive and naive["gain"]["high"] is not None and naive["gain"]["high"] < 0:
        gain = _gain({"value": -naive["gain"]["value"], "low": -naive["gain"]["high"], "high": -naive["gain"]["low"]},
                     "measured")  # fmt: skip
        told = f"{naive['name']} does better on the same rows"
        found.append(Step("model", f"try another model, or take {naive['name']}", told, gain))
    candidates = (result.get("model") or {}).get("candidates") or []
    for c in candidates:
        if TOO_LONG.search(str(c.get("note") or "")):
            command = f"headstart fit {result['data']['path']} --model {c['id']} --budget {_longer(result)}"
            found.append(Step("model", f"try {c['id']}", str(c["note"]), None, command))
    scored = [c for c in candidates if c.get("score") is not None]
    chosen = next((c for c in scored if c.get("chosen")), None)
    best = min(scored, key=lambda c: c["score"], default=None)
    if chosen and best and best is not chosen:
        told = (
            f"its {best['score_name']} was {best['score']:.3f} against {chosen['score']:.3f} of {chosen['id']} when "
            "models were compared, which is not measurably better"
        )
        command = f"headstart fit {result['data']['path']} --model {best['id']}"
        found.append(Step("model", f"try {best['id']}", told, None, command, doubted=True))
    return found


def _unusable_rows(result: Result) -> Step | None:
    data = result["data"]
    lost, rows = data.get("quarantined") or 0, data.get("rows") or 0
    if not rows or lost < SMALL_SHARE * rows:
        return None
    reasons = sorted((data.get("quarantine_reasons") or {}).items(), key=lambda item: -item[1])
    told = f"{lost} of {rows} rows cannot be used" + (f", {reasons[0][1]} of them: {reasons[0][0]}" if reasons else "")
    more, gain = _extrapolation(result), None
    if more:
        share = min(1.0, lost / more["labels"])
        gain = Gain(share * more["gain"], share * more["low"], share * more["high"], "extrapolated")
    return Step("rows", f"mend the {lost} rows in quarantine.csv", told, gain)
