"""The end of `headstart fit` on the terminal: what was chosen, how good it is, what transfer bought, what next."""

from __future__ import annotations

from typing import Any

from headstart.advice import step_lines

SHOWN_ALPHA = 0.05
SHOWN_WARNINGS = 3
FOUND = {
    "label_errors": ("likely label error", "likely label errors"),
    "leaks": ("test row known from training", "test rows known from training"),
    "columns": ("column that tells the label", "columns that tell the label"),
    "duplicates": ("copy", "copies"),
    "outliers": ("outlier", "outliers"),
    "classes": ("class that cannot be judged or told apart", "classes that cannot be judged or told apart"),
}
NAMES = {
    "accuracy": "accuracy",
    "wer": "word error rate",
    "chrf": "chrF",
    "f1_per_input": "F1 per input",
    "rouge_l": "ROUGE-L",
}


def summary_lines(result: dict[str, Any], run: str) -> list[str]:
    """About ten lines; every number stands in result.json."""
    metric, split = result["headline_metric"], result["headline_split"]
    score = result["metrics"][split][metric]
    rows = result["data"]["split"]
    where = f"{rows['folds']}-fold cross-validation over {rows['train']} rows"
    if split == "test":
        where = f"{rows['test']} held-out rows"
    lines = [
        "",
        f"Model      {result['model']['id']} ({result['model']['architecture']}): {result['model']['why']}",
        f"Depth      {result['depth']['chosen']}: {result['depth']['why']}",
        f"Score      {NAMES.get(metric, metric)} {_percent(score['value'])}  "
        f"(95% interval {_percent(score['low'])} to {_percent(score['high'])}; {where})",
    ]
    for other in result["published"]:
        lines.append(f"Published  {_percent(other['value'])}  {other['name']} ({other['note']})")
    if "comparison" in result:
        lines.append(f"Before     {result['refined_from']['run']}: {result['comparison']['sentence']}")
    lines += _evidence_lines(result, metric)
    if (result.get("shift") or {}).get("sentence"):
        lines.append(f"Shift      {result['shift']['sentence']}")
    lines += _label_lines(result)
    lines += _undecided_lines(result)
    lines += _found_lines(result, run)
    lines += [f"Warning    {warning}" for warning in result["warnings"][:SHOWN_WARNINGS]]
    if len(result["warnings"]) > SHOWN_WARNINGS:
        lines.append(f"Warning    {len(result['warnings']) - SHOWN_WARNINGS} more in the report")
    lines += [f"Help       {number}. {step}" for number, step in enumerate(step_lines(result), start=1)]
    timing = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result["timing"].items())
    lines.append(f"Time       {result['seconds']:.0f} s of {result['budget_seconds']:.0f} s: {timing}")
    lines.append(
        f"Where      {run}/report.html; {run}/model ({result['artifact']['format']} folder, "
        f"{result['artifact']['bytes'] / 1e6:.0f} MB)"
    )
    lines.append(f"Next       {result['next'][0]}")
    return lines


def _evidence_lines(result: dict[str, Any], metric: str) -> list[str]:
    lines = []
    naive, control = result["evidence"]["naive"], result["evidence"]["control"]
    if naive:
        lines.append(
            f"Naive      {_percent(naive['metrics'][metric]['value'])}  {naive['name']}; gain {_gain(naive['gain'])}"
        )
    if control and not control.get("shipped"):
        labels = f" at {control['labels']} labels" if control.get("labels") else ""
        ours = control.get("transfer_metrics")
        against = f" against {_percent(ours[metric]['value'])} pretrained" if ours else ""
        lines.append(
            f"Control    {_percent(control['metrics'][metric]['value'])}  {control['name']}{labels}{against}; gain "
            f"{_gain(control['gain'])}"
        )
    if result["evidence"]["sentence"]:
        lines.append(f"Verdict    {result['evidence']['sentence']}")
    return lines


def _label_lines(result: dict[str, Any]) -> list[str]:
    """What more labels would bring, where that was measured."""
    more = (result.get("label_curve") or {}).get("extrapolation")
    if not more:
        return []
    now = result["label_curve"]["labels"]
    gain = _gain({**more, "value": more["gain"]})
    return [f"Labels     {more['labels']:,} more than the {now:,} there are would bring {gain}"]


def _undecided_lines(result: dict[str, Any]) -> list[str]:
    """What `predict --abstain` would do at 5%, or at the smallest error rate above that the rows support."""
    levels = (result.get("conformal") or {}).get("levels") or []
    measured = [level for level in levels if level["coverage"] and level["alpha"] >= SHOWN_ALPHA]
    if not measured:
        return []
    level = measured[0]
    covered = level["coverage"]
    return [
        f"Undecided  {_percent(level['undecided'])} of inputs with --abstain {level['alpha']:g}; the sets held the "
        f"true class for {_percent(covered['value'])} (95% interval {_percent(covered['low'])} to "
        f"{_percent(covered['high'])}; {_percent(level['promised'])} promised)"
    ]


def _found_lines(result: dict[str, Any], run: str) -> list[str]:
    """One line where something in the data should be looked at."""
    counts = {name: found.get("count", 0) for name, found in result.get("findings", {}).items()}
    found = [(counts.get(name, 0), words) for name, words in FOUND.items()]
    told = [f"{count} {words[0] if count == 1 else words[1]}" for count, words in found if count]
    return [f"Found      {', '.join(told)}; see {run}/findings"] if told else []


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.1f}%"


def _gain(gain: dict[str, Any]) -> str:
    if gain["low"] is None or gain["high"] is None:
        return f"{100 * gain['value']:+.1f} points"
    return f"{100 * gain['value']:+.1f} points ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
