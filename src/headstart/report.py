"""The run's report: one HTML file that needs no network and no scripts, every number traceable to result.json."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Template
from markupsafe import Markup

from headstart import report_plots as plots
from headstart.report_label_curve import label_plot
from headstart.report_time_plot import time_plot

Key = tuple[str | int, ...]
Thumbnails = Callable[[str], bytes | None]

CLASSES_IN_MATRIX = 25
EXAMPLES_SHOWN = 12
TEXT_CHARACTERS = 600
THUMBNAIL_BYTES = 150_000
ALL_THUMBNAILS_BYTES = 1_100_000


@dataclass(frozen=True)
class Metric:
    """How a metric is named, written and explained."""

    label: str
    style: str
    means: str
    is_share: bool = False


METRICS = {
    "accuracy": Metric("accuracy", "percent", "share of {things} it got right; higher is better", True),
    "macro_f1": Metric(
        "macro F1", "score", "finding every class without false alarms, all classes equal; 1 is perfect"
    ),
    "log_loss": Metric(
        "log-loss", "score", "penalty for little trust in the right answer; 0 is perfect, lower is better"
    ),
    "brier": Metric("Brier score", "score", "squared distance of its probabilities from the truth; lower is better"),
    "ece": Metric("calibration error", "percent", "average gap between stated probability and share right"),
    "wer": Metric("word error rate", "percent", "words wrong, missing or added per 100 spoken; lower is better"),
    "wer_english_normaliser": Metric(
        "word error rate, English normaliser", "percent", "with spellings, numbers and contractions made equal"
    ),
    "chrf": Metric("chrF", "percent", "characters and short strings shared with the reference; higher is better", True),
    "chrf_corpus": Metric("chrF of all texts together", "percent", "as translations are compared in publications"),
    "bleu": Metric("BLEU", "percent", "strings of one to four words shared with the references, all texts together"),
    "rouge_l": Metric("ROUGE-L", "percent", "words in the same order as in the reference; higher is better", True),
    "rouge1": Metric("ROUGE-1", "percent", "single words shared with the reference"),
    "rouge2": Metric("ROUGE-2", "percent", "pairs of words shared with the reference"),
    "chrf_loss": Metric("one minus chrF", "percent", "0 is perfect, lower is better"),
    "rouge_l_loss": Metric("one minus ROUGE-L", "percent", "0 is perfect, lower is better"),
    "f1_per_input": Metric(
        "F1 of each one's labels", "percent", "labels found without false ones, mean over {things}", True
    ),
    "micro_f1": Metric("micro F1", "score", "the same for all labels of all together"),
    "macro_average_precision": Metric("macro average precision", "score", "ranking by each label, all labels equal"),
    "binary_log_loss": Metric(
        "binary log-loss", "score", "penalty for little trust in what is right, mean over labels"
    ),
    "map": Metric("mAP", "percent", "average precision, mean over IoU 0.50 to 0.95 (COCO); higher is better", True),
    "map_50": Metric("mAP at IoU 0.50", "percent", "the same where half of an object's box must be hit", True),
    "map_75": Metric("mAP at IoU 0.75", "percent", "the same for closely fitting boxes", True),
    "map_loss": Metric("one minus mAP", "percent", "0 is perfect, lower is better"),
    "box_precision": Metric("right among found", "percent", "share of its boxes that show an object (precision)", True),
    "box_recall": Metric("found among objects", "percent", "share of the objects that it found (recall)", True),
    "counting_error": Metric("counting error", "score", "boxes too many or too few in one of the {things}, on average"),
    "cer": Metric("character error rate", "percent", "the same count for single characters; lower is better"),
}
THINGS = {"image": "images", "text": "texts", "audio": "recordings"}
LOADING = {
    "headstart detector": 'import sys\n\nsys.path.insert(0, "{path}")\nimport timm_detector\n\n'
    'model = timm_detector.load("{path}")',
    "timm": 'import timm\n\nmodel = timm.create_model("local-dir:{path}", pretrained=True).eval()',
    "transformers": 'from transformers import pipeline\n\nmodel = pipeline("{pipeline}", "{path}")',
    "text-to-text": "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n\n"
    'tokenizer = AutoTokenizer.from_pretrained("{path}")\nmodel = AutoModelForSeq2SeqLM.from_pretrained("{path}")',
    "sentence-transformers": "from sentence_transformers import SentenceTransformer\n\n"
    'model = SentenceTransformer("{path}")',
}
PIPELINES = {"speech-recognition": "automatic-speech-recognition"}
FINDINGS = {
    "label_errors": ("Likely label errors", "Look at each: the label, or the suggestion, may be right."),
    "leaks": ("Test rows known from training", "They flatter the score; leave them out on one side."),
    "columns": ("Columns that tell the label", "Make sure that the inputs do not show what such a column holds."),
    "duplicates": ("Copies", "They were kept together in every split; where labels differ, at least one is wrong."),
    "outliers": ("Unlike all others", "Damaged, mixed up, or just rare: look at each."),
    "classes": ("Classes that cannot be judged or told apart", "Add examples, or merge classes that mean the same."),
}
IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def write_report(result: dict[str, Any], out: Path, thumbnails: Thumbnails | None = None) -> Path:
    """Write the report of one run as a single HTML file under 2 MB and return its path.

    result: the object of result.json; parts that are missing, None or empty are left out.
    thumbnails: gives a small PNG, JPEG or WebP for an example's `input`, or None.
    """
    html = _template().render(_view(result, thumbnails))
    out.parent.mkdir(parents=True, exist_ok=True)
    # "replace": file names that are not UTF-8 arrive as lone surrogates
    out.write_bytes(html.encode("utf-8", "replace"))
    return out


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=ChainableUndefined, trim_blocks=True)
    environment.filters["capitalize"] = lambda text: f"{str(text)[:1].upper()}{str(text)[1:]}"  # "ROUGE-L" stays so
    return environment.get_template("report.html.j2")


def look_up(result: Mapping[str, Any], key: str) -> Any:
    """The value in result.json that a `data-key` names; None where there is none.

    >>> look_up({"data": {"classes": {"a b": 3}}}, 'data.classes["a b"]')
    3
    """
    value: Any = result
    for part in re.findall(r'\["(?:[^"\\]|\\.)*"\]|[^.\[]+', key):
        value = _step(value, json.loads(part)[0] if part.startswith("[") else part)
    return value


def _step(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list | tuple) and str(part).isdigit() and int(part) < len(value):
        return value[int(part)]
    return None


def _data_key(key: Key) -> str:
    parts = (f".{part}" if re.fullmatch(r"[\w-]+", str(part)) else json.dumps([part]) for part in key)
    return "".join(parts).removeprefix(".")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _duration(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest)
    return " ".join(parts)


def _score(value: float) -> str:
    return _minus(f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}")


STYLES: dict[str, Callable[[Any], str]] = {
    "count": lambda value: f"{value:,.0f}",
    "plain": str,
    "percent": lambda value: _minus(f"{100 * value:.1f}%"),
    "of_100": lambda value: f"{100 * value:.0f}",
    "points": lambda value: _minus(f"{100 * value:+.1f}"),
    "score": _score,
    "score_change": lambda value: _minus(f"{value:+.3f}"),
    "rate": lambda value: f"{value:,.1f}",
    "duration": _duration,
    "megabytes": lambda value: f"{value / 1e6:,.1f} MB",
}


class _Writer:
    """Writes values of one result with the `data-key` they come from; the template's `n`, `interval` and `t`."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = result

    def get(self, key: Key) -> Any:
        value: Any = self.result
        for part in key:
            value = _step(value, part)
        return value

    def n(self, key: Key, style: str = "count") -> Markup:
        """A number, rounded as its style says; nothing where there is none."""
        value = self.get(key)
        if not plots.is_number(value):
            return Markup("")
        text = STYLES[style](value)
        return Markup('<span class="n" data-key="{}" data-style="{}">{}</span>').format(_data_key(key), style, text)

    def interval(self, key: Key, style: str) -> Markup:
        """Both ends of an interval, "low to high"; nothing where it has none."""
        low, high = self.n((*key, "low"), style), self.n((*key, "high"), style)
        return Markup("{} to {}").format(low, high) if low and high else Markup("")

    def t(self, key: Key, limit: int = TEXT_CHARACTERS) -> Markup:
        """Text of the result, isolated so that its writing direction doesn't disturb the line."""
        value = self.get(key)
        if value is None or value == "":
            return Markup("")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return Markup('<bdi data-key="{}">{}</bdi>').format(_data_key(key), clip(text, limit))


def clip(text: str, limit: int) -> str:
    """The text, cut with an ellipsis where it is longer than limit characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def metric(name: str | None) -> Metric:
    """How to write a metric; unknown ones keep their own name."""
    return METRICS.get(name or "", Metric(str(name or "score").replace("_", " "), "score", ""))


def _view(result: dict[str, Any], thumbnails: Thumbnails | None) -> dict[str, Any]:
    """Everything that the template uses."""
    writer = _Writer(result)
    task = str(result.get("task") or "")
    headline: Key = ("metrics", result.get("headline_split") or "test", result.get("headline_metric") or "")
    examples = [row for row in result.get("examples") or [] if isinstance(row, dict)][:EXAMPLES_SHOWN]
    found = _found(result)
    listed = [row for finding in found for row in finding["rows"]]
    pictures = _pictures([*examples, *listed], thumbnails)
    shown = iter(pictures[len(examples) :])
    for finding in found:
        finding["pictures"] = [next(shown) for _ in finding["rows"]]
    return {
        "r": result,
        "n": writer.n,
        "interval": writer.interval,
        "t": writer.t,
        "metric": metric,
        "plots": plots,
        "time_plots": {part: time_plot(result.get(part)) for part in ("scratch", "proof")},
        "precision_recall": plots.precision_recall((result.get("boxes") or {}).get("precision_recall")),
        "label_plot": label_plot(result.get("label_curve")),
        "is_number": plots.is_number,
        "clip": clip,
        "tick": lambda value, style: f"{100 * value:g}%" if style == "percent" else _minus(f"{value:g}"),
        "task": task.replace("-", " ").capitalize(),
        "things": THINGS.get(str(result.get("modality")), "examples"),
        "headline": headline if plots.is_number(writer.get((*headline, "value"))) else None,
        "headline_style": metric(result.get("headline_metric")),
        "comparison": _comparison(writer, headline, result),
        "examples": examples,
        "pictures": pictures[: len(examples)],
        "found": found,
        "matrix_limit": CLASSES_IN_MATRIX,
        "probability_metrics": ("log_loss", "brier", "ece"),
        "loading": _loading(result, task),
    }


def _found(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Findings that found something, in the order in which they are told."""
    findings = result.get("findings") or {}
    return [
        {
            "name": name,
            "title": title,
            "advice": advice,
            "rows": [row for row in findings[name].get("rows") or [] if isinstance(row, dict)][:EXAMPLES_SHOWN],
        }
        for name, (title, advice) in FINDINGS.items()
        if isinstance(findings.get(name), Mapping) and findings[name].get("count")
    ]


def _comparison(writer: _Writer, headline: Key, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rows of the comparison chart and their common scale; None where there is nothing to compare."""
    name = str(headline[-1])
    rows: list[tuple[str, Key]] = [("ours", headline), ("naive", ("evidence", "naive", "metrics", name))]
    control: Key = ("evidence", "control")
    rows += [("same_labels", (*control, "transfer_metrics", name)), ("control", (*control, "metrics", name))]
    published = result.get("published") or []
    rows += [("published", ("published", i)) for i, row in enumerate(published) if row.get("metric") == name]
    rows = [(kind, key) for kind, key in rows if plots.is_number(writer.get((*key, "value")))]
    if len(rows) < 2:
        return None
    ends = [writer.get((*key, end)) for _, key in rows for end in ("value", "high")]
    at_least = 1.0 if metric(name).is_share else None
    scale = plots.scale([float(end) for end in ends if plots.is_number(end)], from_zero=True, at_least=at_least)
    return {"scale": scale, "rows": [{"kind": kind, "key": key, "at": writer.get(key)} for kind, key in rows]}


def _pictures(examples: list[dict[str, Any]], thumbnails: Thumbnails | None) -> list[str | None]:
    """A data URI per example; pictures that are too large, or beyond the total, are left out."""
    left, uris = ALL_THUMBNAILS_BYTES, list[str | None]()
    for row in examples:
        picture = thumbnails(str(row.get("input"))) if thumbnails else None
        kind = next((kind for start, kind in IMAGE_TYPES.items() if picture and picture.startswith(start)), None)
        if not picture or not kind or len(picture) > min(left, THUMBNAIL_BYTES):
            uris.append(None)
            continue
        left -= len(picture)
        uris.append(f"data:{kind};base64,{base64.b64encode(picture).decode()}")
    return uris


def _loading(result: Mapping[str, Any], task: str) -> str | None:
    """Python lines that load the saved model without headstart."""
    artifact = result.get("artifact") or {}
    kind = "text-to-text" if artifact.get("script") == "text_to_text.py" else str(artifact.get("format"))
    lines = LOADING.get(kind)
    if not lines or not artifact.get("path"):
        return None
    return lines.format(path=artifact["path"], pipeline=PIPELINES.get(task, task.removeprefix("multi-label-")))
