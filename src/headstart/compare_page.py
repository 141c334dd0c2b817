"""Several runs side by side: how they score on the rows that they share, and in what they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Template

from headstart import report_plots as plots
from headstart.comparison import Scored, pair, read_scored
from headstart.errors import RunError
from headstart.report import metric
from headstart.run_dir import write_atomically

LABELS = {"score": "score", "rows": "scored on", "model": "model", "depth": "depth", "seconds": "seconds",
          "budget": "budget (s)", "exposures": "times these were scored", "control": "gain over the control",
          "created": "made"}  # fmt: skip
UNTOLD = frozenset({"out", "plan", "budget_seconds", "cache_dir"})  # settings that do not change what a run does
Comparison = dict[str, Any]


def compare_runs(runs: Sequence[Path]) -> Comparison:
    """The first run against each of the others.

    Returns {runs, facts, settings, pairs}: names; rows of (label, a value for each run), facts always, settings only
    those in which they differ; and for each other run {run, pairing (as Pairing.to_json) or why_not}. The gain is that
    of the first run over the other.
    Raises RunError where one is no finished run, or is named twice.
    """
    twice = next((run for i, run in enumerate(runs) if run.resolve() in [r.resolve() for r in runs[:i]]), None)
    if twice is not None:
        raise RunError(f"{twice} is named twice. Name different runs.")
    scored = [read_scored(run) for run in runs]
    facts = [_facts(s) for s in scored]
    return {
        "runs": [str(run) for run in runs],
        "facts": [{"name": name, "label": LABELS[name], "values": [f[name] for f in facts]} for name in LABELS],
        "settings": _differing([s.result.get("settings") or {} for s in scored]),
        "pairs": [_pair(scored[0], other) for other in scored[1:]],
    }


def _pair(first: Scored, other: Scored) -> dict[str, Any]:
    """The first against another; on the labels of the first where they differ."""
    found = pair(other, first)
    name = {"run": str(other.run), "split": first.result["headline_split"]}
    return name | ({"why_not": found} if isinstance(found, str) else {"pairing": found.to_json()})


def _facts(scored: Scored) -> dict[str, str]:
    result = scored.result
    name, split = result["headline_metric"], result["headline_split"]
    score = result["metrics"][split][name]
    control = (result.get("evidence") or {}).get("control")
    return {
        "score": f"{metric(name).label} {_percent(score['value'])} ({_percent(score['low'])} to "
        f"{_percent(score['high'])})",
        "rows": f"{len(scored.predictions)} {'test rows' if split == 'test' else 'rows by cross-validation'}",
        "model": str(result["model"]["id"]),
        "depth": str(result["depth"]["chosen"]),
        "seconds": f"{result['seconds']:.0f}",
        "budget": f"{result['budget_seconds']:.0f}",
        "exposures": str(result.get("test_exposures") or "—"),
        "control": f"{100 * control['gain']['value']:+.1f} points ({control['name']})" if control else "—",
        "created": str(result.get("created") or "—")[:16].replace("T", " "),
    }


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = sorted({name for s in settings for name in s} - UNTOLD)
    rows = [(name, ["—" if s.get(name) is None else str(s[name]) for s in settings]) for name in names]
    return [{"name": name, "label": name, "values": values} for name, values in rows if len(set(values)) > 1]


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.1f}%"


def pair_sentence(first: str, pair_: Mapping[str, Any]) -> str:
    """What one comparison says, for people."""
    if "why_not" in pair_:
        return f"{first} and {pair_['run']} cannot be compared row by row: {pair_['why_not']}."
    found = pair_["pairing"]
    value, low, high = (100 * found["gain"][k] for k in ("value", "low", "high"))
    verdict = "better" if low > 0 else "worse" if high < 0 else "no clear difference"
    rows = "test rows" if pair_["split"] == "test" else "rows by cross-validation"
    told = (
        f"{first} {_percent(found['after']['value'])}, {pair_['run']} {_percent(found['before']['value'])} on the same "
        f"{found['rows']} {rows}: gain {value:+.1f} points (95% interval {low:+.1f} to {high:+.1f}), {verdict}."
    )
    if found["corrected"]:
        told += f" {found['corrected']} rows have other labels in {pair_['run']}; both are scored on those of {first}."
    return told


def comparison_lines(found: Comparison) -> list[str]:
    """The same as a table for the terminal."""
    rows = [["", *found["runs"]], *[[f["label"], *f["values"]] for f in (*found["facts"], *found["settings"])]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [*table, "", *[pair_sentence(found["runs"][0], p) for p in found["pairs"]]]


def write_comparison(found: Comparison, file: Path) -> Path:
    """The same as one HTML page without scripts or network; returns its path."""
    ends = [p["pairing"]["gain"][k] for p in found["pairs"] if "pairing" in p for k in ("low", "high", "value")]
    scale = plots.scale([*[float(e) for e in ends if plots.is_number(e)], 0.0], from_zero=False) if ends else None
    sentences = [pair_sentence(found["runs"][0], p) for p in found["pairs"]]
    page = _template().render(found | {"scale": scale, "sentences": sentences, "is_number": plots.is_number})
    write_atomically(file, page)
    return file


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=loader, autoescape=True, trim_blocks=True).get_template("compare.html.j2")
