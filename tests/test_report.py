"""The report shows what result.json holds, number for number, whatever is missing or odd."""

from __future__ import annotations

import copy
import io
import itertools
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart import report_plots as plots
from headstart.report import look_up, write_report

VOID = {"meta", "br", "img", "link", "input", "hr"}
# numbers that belong to the wording, not to the run
PROSE = {"95", "90", "100", "1", "0", "F1"}


def interval(value: float, low: float, high: float, n: int) -> dict[str, float | int]:
    return {"value": value, "low": low, "high": high, "n": n}


def conformal_level(alpha: float, coverage: float, size: float, undecided: float) -> dict[str, Any]:
    return {
        "alpha": alpha,
        "promised": 1 - alpha,
        "threshold": 0.5 + alpha,
        "promise": "…",
        "coverage": interval(coverage, coverage - 0.017, coverage + 0.006, 656),
        "mean_set_size": size,
        "undecided": undecided,
    }


def image_result() -> dict[str, Any]:
    """Solar cells (ELPV), two classes, a holdout."""
    bins = [(0.547, 0.52, 48), (0.65, 0.633, 60), (0.752, 0.70, 77), (0.858, 0.871, 124), (0.968, 0.957, 347)]
    rungs = [
        {
            "name": "head",
            "description": "new head on frozen features (ridge, 1280 features)",
            "metric": "log_loss",
            "lower_is_better": True,
            "score": interval(0.4021, 0.3744, 0.4310, 1968),
            "seconds": 14.2,
            "chosen": False,
        },
        {
            "name": "block",
            "description": "last block tuned, 6 epochs",
            "score": interval(0.3519, 0.3261, 0.3798, 1968),
            "difference": interval(-0.0502, -0.0781, -0.0214, 1968),
            "before": 0.4021,
            "seconds": 60.1,
            "chosen": True,
            "curve": [
                {"epoch": e + 1, "train_loss": t, "dev_loss": d}
                for e, (t, d) in enumerate(
                    zip([0.512, 0.431, 0.377, 0.331, 0.302, 0.288], [0.4105, 0.3812, 0.3624, 0.3519, 0.3551, 0.3603])
                )
            ],
        },
        {
            "name": "half",
            "description": "upper half tuned, 6 epochs",
            "score": interval(0.3488, 0.3219, 0.3790, 1968),
            "difference": interval(-0.0031, -0.0142, 0.0080, 1968),
            "seconds": 131.6,
            "chosen": False,
        },
    ]
    return {
        "headstart_version": "0.1.0",
        "created": "2026-11-24T03:00:00Z",
        "status": "complete",
        "task": "image-classification",
        "modality": "image",
        "data": {
            "path": "/data/elpv",
            "rows": 2624,
            "used": 2620,
            "quarantined": 4,
            "quarantine_reasons": {"file is truncated": 3, "not an image": 1},
            "duplicates_grouped": 12,
            "classes": {"functional": 1803, "defective": 817},
            "columns": {"input": "file_name", "target": "label"},
            "fingerprint": "ab12f09c77de",
            "split": {"train": 1964, "test": 656, "method": "holdout"},
            "notes": [
                "Images are grey; they are repeated to three channels.",
                "16-bit images were scaled by their own range.",
            ],
        },
        "model": {
            "id": "pip:efficientnet-lite0",
            "architecture": "tf_efficientnet_lite0",
            "library": "timm",
            "licence": "Apache-2.0",
            "source_domain": "ImageNet-1k photos",
            "why": "Lowest log-loss of the 4 models that fit the time: 0.402 against 0.438 for the next.",
            "candidates": [
                {
                    "id": "pip:efficientnet-lite0",
                    "score": 0.4021,
                    "score_name": "log-loss, leave-one-out",
                    "seconds": 12.3,
                    "chosen": True,
                    "note": "",
                },
                {
                    "id": "pip:mobilenetv3-large",
                    "score": 0.4377,
                    "score_name": "log-loss, leave-one-out",
                    "seconds": 9.8,
                    "chosen": False,
                    "note": "",
                },
                {
                    "id": "pip:resnet18",
                    "score": 0.4612,
                    "score_name": "log-loss, leave-one-out",
                    "seconds": 21.0,
                    "chosen": False,
                    "note": "slower at equal size",
                },
                {
                    "id": "pip:vit-small-dino",
                    "score": None,
                    "seconds": 0.0,
                    "chosen": False,
                    "note": "would not fit the budget (predicted 410 s)",
                },
            ],
        },
        "depth": {
            "chosen": "block",
            "why": "Tuning the last block lowers log-loss by 0.050 (0.021 to 0.078); the upper half adds little.",
            "rungs": rungs,
        },
        "metrics": {
            "test": {
                "accuracy": interval(0.8689, 0.8430, 0.8933, 656),
                "log_loss": interval(0.3341, 0.2912, 0.3822, 656),
                "macro_f1": interval(0.8446, 0.8141, 0.8731, 656),
                "brier": interval(0.1931, 0.1664, 0.2214, 656),
                "ece": interval(0.0213, 0.0137, 0.0402, 656),
            }
        },
        "headline_metric": "accuracy",
        "headline_split": "test",
        "lower_is_better": False,
        "headline_note": "computed from the saved model by timm in a separate process",
        "published": [
            {"name": "SVM (Deitsch et al. 2019)", "metric": "accuracy", "value": 0.8244, "note": "75/25 split"},
            {"name": "CNN (Deitsch et al. 2019)", "metric": "accuracy", "value": 0.8842, "note": "75/25 split, GPU"},
        ],
        "evidence": {
            "naive": {
                "name": "pixel statistics + logistic regression",
                "metrics": {"accuracy": interval(0.7439, 0.7104, 0.7759, 656)},
                "gain": interval(0.125, 0.0930, 0.1570, 656),
            },
            "control": {
                "name": "same network, random weights, same head",
                "metrics": {"accuracy": interval(0.7759, 0.7439, 0.8079, 656)},
                "transfer_metrics": {"accuracy": interval(0.8384, 0.8095, 0.8659, 656)},
                "labels": 1000,
                "gain": interval(0.0625, 0.0412, 0.0831, 656),
            },
            "verdict": "helped",
            "sentence": "Transfer helped: +6.2 points over random weights (4.1 to 8.3)",
        },
        "confusion": {"labels": ["defective", "functional"], "matrix": [[152, 53], [33, 418]]},
        "per_class": [
            {"label": "defective", "n": 205, "precision": 152 / 185, "recall": 152 / 205, "f1": 0.7795},
            {"label": "functional", "n": 451, "precision": 418 / 471, "recall": 418 / 451, "f1": 0.9067},
        ],
        "calibration": {"temperature": 1.31, "bins": [{"confidence": c, "accuracy": a, "n": n} for c, a, n in bins]},
        "conformal": {
            "score": "1 - probability of the true class",
            "rows": 1964,
            "groups": 1952,
            "smallest_alpha": 1 / 1953,
            "measured_on": "test",
            "levels": [
                conformal_level(0.01, 0.9921, 1.612, 0.612),
                conformal_level(0.05, 0.9527, 1.318, 0.318),
                conformal_level(0.10, 0.9046, 1.094, 0.094),
            ],
        },
        "ood": {
            "method": "Mahalanobis distance to the nearest class mean, on features of unit length",
            "rows": 1964,
            "level": 0.01,
            "flagged_test_rows": interval(0.0137, 0.0061, 0.0244, 656),
        },
        "examples": [
            {
                "input": f"images/cell{i:04d}.png",
                "target": "defective" if i % 3 else "functional",
                "output": "functional" if i % 3 else "defective",
                "note": f"probability {0.98 - i * 0.01:.2f}",
                "score": 0.98 - i * 0.01,
            }
            for i in range(8)
        ],
        "artifact": {
            "layout": "native",
            "format": "timm",
            "path": "model",
            "bytes": 13_620_114,
            "check": "stock loader gives the same answers: largest difference 1e-6 over 8 inputs",
        },
        "timing": {
            "read and check": 3.2,
            "select": 43.1,
            "head": 2.4,
            "tune": 62.3,
            "control": 18.0,
            "evaluate": 9.2,
            "save": 5.0,
        },
        "seconds": 143.2,
        "budget_seconds": 300.0,
        "engine": {
            "name": "openvino",
            "version": "2026.4.1",
            "examples_per_second": 190.1,
            "why": "12.1 times torch on 2 threads, largest difference 3e-6",
            "device": "CPU, 2 cores",
        },
        "cache": {"hits": 0, "misses": 2624},
        "seed": 0,
        "settings": {"budget": "5m", "metric": None, "depth": "auto", "batch_size": 32},
        "versions": {"torch": "2.13.0", "timm": "1.0.22", "openvino": "2026.4.1", "python": "3.11.9"},
        "test_exposures": 2,
        "refined_from": {"run": "runs/elpv-0", "root": "/runs/elpv-0", "created": "2026-11-24T10:00:00Z"},
        "comparison": {
            "metric": "accuracy",
            "rows": 656,
            "before": interval(0.8613, 0.8338, 0.8872, 656),
            "after": interval(0.8720, 0.8460, 0.8960, 656),
            "gain": interval(0.0107, -0.0061, 0.0274, 656),
            "corrected": 12,
            "old_labels": interval(0.8552, 0.8277, 0.8811, 656),
            "only_before": 0,
            "only_after": 3,
            "sentence": "Before and after on the same rows: no clear difference.",
        },
        "next_steps": {
            "sentence": "What would help most: look at the labels that are probably wrong, and correct them.",
            "steps": [
                {
                    "what": "labels",
                    "action": "look at the labels that are probably wrong, and correct them",
                    "because": "some labels seem wrong",
                    "gain": {"value": 0.021, "low": 0.008, "high": 0.034, "kind": "measured"},
                    "gain_in_words": "points",
                    "shown": True,
                    "worth_trying": True,
                    "command": "headstart refine runs/elpv --labels runs/elpv/findings/label_errors.csv",
                },
                {
                    "what": "budget",
                    "action": "give more time, to tune the last third",
                    "because": "it was left out for time",
                    "gain": None,
                    "gain_in_words": "gain not measured",
                    "shown": False,
                    "worth_trying": True,
                    "command": None,
                },
            ],
        },
        "warnings": [],
        "next": [
            "headstart predict runs/elpv new/*.jpg --out predictions.jsonl",
            "headstart refine runs/elpv --budget 20m",
        ],
    }


NEWSGROUPS = """
alt.atheism comp.graphics comp.os.ms-windows.misc comp.sys.ibm.pc.hardware comp.sys.mac.hardware comp.windows.x
misc.forsale rec.autos rec.motorcycles rec.sport.baseball rec.sport.hockey sci.crypt sci.electronics sci.med
sci.space soc.religion.christian talk.politics.guns talk.politics.mideast talk.politics.misc talk.religion.misc
"""


def text_result() -> dict[str, Any]:
    """Twenty newsgroups by cross-validation, with warnings."""
    rng = np.random.default_rng(3)
    names = NEWSGROUPS.split()
    sizes = rng.integers(28, 50, 20)
    matrix = np.zeros((20, 20), dtype=int)
    for i, size in enumerate(sizes):
        near = np.exp(-np.abs(np.arange(20) - i) / 0.9) + 0.01
        near[i] += 3
        matrix[i] = rng.multinomial(size, near / near.sum())
    right, rows, columns = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    f1 = 2 * right / (rows + columns)
    result = copy.deepcopy(image_result())
    posts = [
        "Does anyone know if the new bike helmets are worth the money? My old Shoei is cracked after a drop,"
        " and the dealer says that any crack means the end of it.",
        "I need a driver for the Diamond Speedstar 24X under Windows 3.1, 1024x768 256 colours. <b>Please</b> mail me.",
        "The clipper chip debate has nothing to do with guns, and everything with who holds the keys.",
    ]
    result.update(
        task="text-classification",
        modality="text",
        headline_metric="accuracy",
        headline_split="cross_validation",
        headline_note="",
        published=[],
        calibration=None,
        metrics={
            "cross_validation": {
                "accuracy": interval(float(right.sum() / rows.sum()), 0.7712, 0.8306, int(rows.sum())),
                "macro_f1": interval(float(f1.mean()), 0.767, 0.832, int(rows.sum())),
                "log_loss": interval(1.0412, 0.951, 1.139, int(rows.sum())),
            }
        },
        evidence={
            "naive": {
                "name": "word counts (TF-IDF) + logistic regression",
                "metrics": {"accuracy": interval(0.7899, 0.7594, 0.8192, int(rows.sum()))},
                "gain": interval(0.0131, -0.0145, 0.0402, int(rows.sum())),
            },
            "control": None,
            "verdict": "no difference",
            "sentence": "No clear difference from word counts: +1.3 points (−1.5 to 4.0)",
        },
        confusion={"labels": names, "matrix": matrix.tolist()},
        per_class=[
            {
                "label": name,
                "n": int(rows[i]),
                "precision": float(right[i] / columns[i]),
                "recall": float(right[i] / rows[i]),
                "f1": float(f1[i]),
            }
            for i, name in enumerate(names)
        ],
        examples=[
            {
                "input": f"row {17 * i + 4}",
                "excerpt": post,
                "target": names[i + 8],
                "output": names[i + 2],
                "note": f"probability {0.96 - 0.03 * i:.2f}",
                "score": 0.9,
            }
            for i, post in enumerate(posts)
        ],
        warnings=[
            "Only 28 rows of the smallest class: its figures are rough.",
            "12 texts were longer than 256 tokens and were cut.",
        ],
    )
    result["data"].update(
        path="news/train.csv",
        rows=812,
        used=int(rows.sum()),
        quarantined=0,
        quarantine_reasons={},
        duplicates_grouped=6,
        classes={name: int(rows[i]) for i, name in enumerate(names)},
        columns={"input": "text", "target": "topic"},
        split={"train": int(rows.sum()), "method": "cross-validation", "folds": 5},
        notes=[],
    )
    result["model"].update(
        id="pip:minilm-l6",
        architecture="bert",
        library="transformers",
        source_domain="1 billion English sentence pairs",
        candidates=[],
        why="The only text model on this machine.",
    )
    result["depth"] = {
        "chosen": "head",
        "why": "The head alone; one block deeper did not lower log-loss.",
        "rungs": result["depth"]["rungs"][:1],
    }
    result["artifact"].update(format="transformers", path="model")
    return result


def speech_result() -> dict[str, Any]:
    """Read digits and commands, word error rate."""
    said = [
        (
            "turn the second valve to forty percent and wait for the lamp",
            "turn the second wealth to fourteen percent and wait the lamp",
        ),
        ("Open the logbook, please.", "open the log book please"),
        ("report pressure at station nine", ""),
        ("the hydraulic pump is leaking again", "the hydraulic pump is is leaking again now"),
    ]
    result = copy.deepcopy(image_result())
    result.update(
        task="speech-recognition",
        modality="audio",
        headline_metric="wer",
        lower_is_better=True,
        published=[],
        confusion=None,
        per_class=[],
        calibration=None,
        conformal=None,
        ood=None,
        metrics={"test": {"wer": interval(0.0612, 0.0479, 0.0766, 300), "cer": interval(0.0231, 0.0174, 0.0303, 300)}},
        evidence={
            "naive": None,
            "control": {
                "name": "untouched model",
                "metrics": {"wer": interval(0.1423, 0.1198, 0.1671, 300)},
                "transfer_metrics": None,
                "gain": interval(0.0811, 0.0630, 0.1015, 300),
            },
            "verdict": "helped",
            "sentence": "Tuning helped: 8.1 fewer words wrong of 100 than the untouched model (6.3 to 10.2)",
        },
        examples=[
            {"input": f"clips/{i:03d}.flac", "target": t, "output": o, "note": f"{n} words wrong", "score": 0.4}
            for i, ((t, o), n) in enumerate(zip(said, (4, 2, 5, 2)))
        ],
    )
    result["data"].update(
        path="commands",
        classes={},
        rows=1504,
        used=1500,
        split={"train": 1200, "test": 300, "method": "given"},
        quarantine_reasons={"longer than 30 s": 4},
        notes=[],
    )
    result["model"].update(
        id="pip:whisper-tiny",
        architecture="whisper",
        library="transformers",
        source_domain="680,000 h of speech from the web",
        candidates=[],
        why="The model that you named.",
    )
    for rung, value in zip(result["depth"]["rungs"], (0.0911, 0.0634, 0.0641)):
        rung["score"] = interval(value, value - 0.012, value + 0.014, 1200)
        rung["metric"] = "wer"
        if "difference" in rung:
            rung["difference"] = interval(-0.0277, -0.0391, -0.0160, 1200)
    for row, value in zip(result["depth"]["rungs"][1]["curve"], (0.0812, 0.0711, 0.0634, 0.0641, 0.0652, 0.0649)):
        row["dev_loss"] = value
    result["depth"]["why"] = "Tuning the last block lowers word error rate by 2.8 points."
    result["artifact"].update(format="transformers")
    return result


RESULTS = {"image": image_result, "text": text_result, "speech": speech_result}


def thumbnail(input_id: str) -> bytes:
    rng = np.random.default_rng(zlib.crc32(input_id.encode()))
    cell = 150 + rng.normal(0, 8, (128, 128))
    cell[:, ::32] -= 60
    x = int(rng.integers(20, 100))
    cell[x : x + 3, 20:110] -= 90
    out = io.BytesIO()
    Image.fromarray(np.clip(cell, 0, 255).astype(np.uint8)).save(out, "JPEG")
    return out.getvalue()


class Page(HTMLParser):
    """Texts of a page: by data-key, and what stands outside of any key."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.keyed: list[tuple[str, str | None, str]] = []
        self.loose: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))
            if "data-key" in dict(attrs):
                self.keyed.append((dict(attrs)["data-key"] or "", dict(attrs).get("data-style"), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if any(tag in ("style", "title") for tag, _ in self.open):
            return
        if any("data-key" in attrs for _, attrs in self.open):
            key, style, text = self.keyed[-1]
            self.keyed[-1] = (key, style, text + data)
        elif not any("data-part-of" in a or "axis" in (a.get("class") or "") for _, a in self.open):
            self.loose.append(data)


def page(result: dict[str, Any], tmp_path: Path, thumbnails: Any = None) -> tuple[str, Page]:
    html = write_report(result, tmp_path / "report.html", thumbnails).read_text(encoding="utf-8")
    return html, Page(html)


def shown_number(text: str) -> tuple[float, float]:
    """What a reader takes from a number, in the unit of result.json, and half of its last digit."""
    text = text.replace("\N{MINUS SIGN}", "-").replace(",", "")
    parts = re.findall(r"([-+]?[\d.]+) ?(%|h|min|s|MB|)", text)
    units = {"%": 0.01, "h": 3600.0, "min": 60.0, "s": 1.0, "MB": 1e6, "": 1.0}
    number, unit = parts[-1]
    digits = len(number.partition(".")[2])
    return sum(float(number) * units[unit] for number, unit in parts), 0.5 * 10**-digits * units[unit]


@pytest.mark.parametrize("name", RESULTS)
def test_every_data_key_resolves_and_shows_the_rounded_value(name: str, tmp_path: Path) -> None:
    result = RESULTS[name]()
    _, shown = page(result, tmp_path)
    assert len(shown.keyed) > 60
    for key, style, text in shown.keyed:
        value = look_up(result, key)
        assert value is not None, key
        if style is None:
            assert text.rstrip("…") in (value if isinstance(value, str) else json.dumps(value)), key
            continue
        seen, tolerance = shown_number(text)
        scale = 0.01 if style in ("of_100", "points") else 1.0
        assert abs(seen * scale - value) <= tolerance * scale * 1.0001, (key, text, value)


@pytest.mark.parametrize("name", RESULTS)
def test_no_number_is_shown_without_its_key(name: str, tmp_path: Path) -> None:
    _, shown = page(RESULTS[name](), tmp_path)
    data = RESULTS[name]()["data"]
    labels = {*data["classes"], *data["quarantine_reasons"], *RESULTS[name]()["timing"]}
    loose = [text for text in shown.loose if text.strip() not in labels]
    numbers = {number for text in loose for number in re.findall(r"F1|\d+(?:[.,]\d+)?", text)}
    assert numbers <= PROSE


@pytest.mark.parametrize("name", RESULTS)
def test_page_is_self_contained_and_accessible(name: str, tmp_path: Path) -> None:
    html, shown = page(RESULTS[name](), tmp_path, thumbnail)
    assert len(html.encode()) < 2_000_000
    assert not re.search(r"<script|https?://|url\(|@import|javascript:", html)
    levels = [int(tag[1]) for tag, _ in shown.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    drawings = [attrs for tag, attrs in shown.tags if tag == "svg" and ("role" in attrs or "class" in attrs)]
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") for attrs in drawings)
    assert all(attrs.get("scope") for tag, attrs in shown.tags if tag == "th")
    assert all(attrs.get("alt") for tag, attrs in shown.tags if tag == "img")
    targets = {attrs.get("id") for _, attrs in shown.tags}
    assert all((attrs["href"] or "")[1:] in targets for tag, attrs in shown.tags if tag == "a")


def plain(shown: Page) -> str:
    return " ".join("".join(shown.loose).split())


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", html.partition("</style>")[2]).split())


def test_headline_is_one_plain_sentence(tmp_path: Path) -> None:
    assert "On 656 images it had never seen, 87 of 100 were right (84 to 89)." in text_of(
        page(image_result(), tmp_path)[0]
    )


def test_speech_headline_counts_wrong_words(tmp_path: Path) -> None:
    text = text_of(page(speech_result(), tmp_path)[0])
    assert "On 300 recordings it had never seen, 6 of 100 words were wrong (5 to 8)." in text
    assert "word error rate (lower is better)" in text


def test_cross_validation_is_said(tmp_path: Path) -> None:
    assert "judged by a model that had not seen it (cross-validation)" in text_of(page(text_result(), tmp_path)[0])


def test_wrong_words_are_marked_side_by_side(tmp_path: Path) -> None:
    html, _ = page(speech_result(), tmp_path)
    assert "<del>valve</del>" in html
    assert "<ins>wealth</ins>" in html
    assert "(nothing)" in html


def test_what_would_help_comes_with_its_gain_or_says_that_there_is_none(tmp_path: Path) -> None:
    html, _ = page(image_result(), tmp_path)
    assert "What would help&nbsp;most" in html
    assert 'data-key="next_steps.steps.0.gain.value" data-style="points">+2.1<' in html
    assert "gain not measured" in html and "headstart refine runs/elpv --labels" in html
    assert 'data-key="comparison.gain.high"' in html and "Before and after" in html


def test_sets_are_shown_beside_what_was_promised(tmp_path: Path) -> None:
    text = text_of(page(image_result(), tmp_path)[0])
    assert "5.0%95.3% 93.6% to 95.9%95.0%1.31831.8%" in text
    assert "measured on the test images" in text
    assert "Of the test images, 1.4% 0.6% to 2.4% are flagged" in text
    result = image_result()
    result["conformal"]["levels"][0].update(coverage=None, mean_set_size=None, undecided=None)
    assert "1.0%too few rows" in text_of(page(result, tmp_path)[0])
    assert "may leave an answer open" not in text_of(page(speech_result(), tmp_path)[0])


def test_interrupted_run_shows_what_there_is(tmp_path: Path) -> None:
    full = image_result()
    result = {key: full[key] for key in ("task", "modality", "data", "model", "depth")} | {"status": "interrupted"}
    text = text_of(page(result, tmp_path)[0])
    assert "This run was interrupted." in text
    assert "no test score yet" in text
    assert "Small print" in text


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("empty", [None, {}, [], "absent"])
def test_any_part_may_be_missing(name: str, empty: Any, tmp_path: Path) -> None:
    for part in RESULTS[name]():
        result = RESULTS[name]()
        if empty == "absent":
            del result[part]
        elif not isinstance(result[part], dict | list) or isinstance(result[part], type(empty)) or empty is None:
            result[part] = empty
        html, _ = page(result, tmp_path)
        assert not re.search(r">\s*(None|nan|Undefined)\s*<", html), part


@pytest.mark.parametrize("name", RESULTS)
def test_any_inner_part_may_be_none(name: str, tmp_path: Path) -> None:
    full = RESULTS[name]()
    for part, inner in [(key, inner) for key in full if isinstance(full[key], dict) for inner in full[key]]:
        result = RESULTS[name]()
        result[part][inner] = None
        html, _ = page(result, tmp_path)
        assert not re.search(r">\s*(None|nan|Undefined)\s*<", html), (part, inner)


def test_not_a_number_is_left_out(tmp_path: Path) -> None:
    result = image_result()
    result["metrics"]["test"]["macro_f1"] = interval(float("nan"), float("nan"), float("nan"), 656)
    result["depth"]["rungs"][0]["score"] = None
    html, _ = page(result, tmp_path)
    assert "nan" not in text_of(html)


NASTY = [
    "<script>alert(1)</script>",
    "a.b['c']\"d\\",
    "עברית مع العربية",
    "👩‍🔬🧪",
    "x" * 300,
    "two words 日本語",
    "\udcff broken utf-8",
]


def nasty_result() -> dict[str, Any]:
    result = image_result()
    result["data"]["classes"] = {name: 10 + i for i, name in enumerate(NASTY)}
    result["data"]["quarantine_reasons"] = dict.fromkeys(NASTY, 1)
    result["data"]["path"] = "/data/<img src=x>"
    result["confusion"] = {"labels": NASTY, "matrix": np.arange(49).reshape(7, 7).tolist()}
    result["per_class"] = [{"label": name, "n": 3, "precision": 0.5, "recall": 0.5, "f1": 0.5} for name in NASTY]
    result["examples"] = [{"input": n, "target": n, "output": n, "note": n} for n in NASTY]
    result["model"]["id"] = "m" * 200
    return result


def test_odd_labels_are_escaped_and_traceable(tmp_path: Path) -> None:
    result = nasty_result()
    html, shown = page(result, tmp_path)
    assert "<script" not in html
    assert "<img src=x" not in html
    for key, _, _ in shown.keyed:
        assert look_up(result, key.replace("\ufffd", "?")) is not None, key


def test_thousand_classes_stay_small(tmp_path: Path) -> None:
    result = image_result()
    names = [f"class {i}" for i in range(1000)]
    result["data"]["classes"] = {name: 1000 - i for i, name in enumerate(names)}
    result["confusion"] = {"labels": names, "matrix": np.eye(1000, k=1, dtype=int).tolist()}
    result["per_class"] = [{"label": name, "n": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5} for name in names]
    html, _ = page(result, tmp_path)
    assert len(html) < 300_000
    assert "Most often confused" in html


def test_pictures_are_bounded_and_must_be_pictures(tmp_path: Path) -> None:
    result = image_result()
    result["examples"] *= 10
    html, _ = page(result, tmp_path, lambda _: b"\x89PNG" + bytes(140_000))
    assert len(html) < 2_000_000
    assert "<img" in html
    html, _ = page(result, tmp_path, lambda _: b"<svg onload=alert(1)>")
    assert "<img" not in html


def test_look_up_finds_odd_names() -> None:
    assert look_up({"a": {"b.c": [5, 6]}}, 'a["b.c"].1') == 6
    assert look_up({"a": {}}, "a.b.c") is None


def test_scale_has_round_ticks_and_holds_all_values() -> None:
    assert plots.scale([0.062, 0.167], from_zero=True).ticks == pytest.approx((0, 0.05, 0.1, 0.15, 0.2))
    assert plots.scale([0.32, 0.43]).at(0.32) >= 0
    assert plots.scale([0.5, 0.5]).at(0.5) == pytest.approx(50, abs=20)
    assert plots.scale([0.0], from_zero=True).high > 0


def test_compare_words_ignores_case_and_punctuation() -> None:
    target, output = plots.compare_words("Open the valve, please.", "open the wealth please")
    assert [(w.text, w.same) for w in target] == [("Open the", True), ("valve,", False), ("please.", True)]
    assert [(w.text, w.same) for w in output] == [("open the", True), ("wealth", False), ("please", True)]


def test_compare_words_by_character_without_spaces() -> None:
    target, _ = plots.compare_words("请把第二个阀门开到百分之四十", "请把第三个阀门开到百分之四十")
    assert [w.text for w in target if not w.same] == ["二"]


def test_most_confused_by_hand() -> None:
    assert plots.most_confused([[9, 1, 0], [4, 9, 0], [0, 2, 9]], 5) == [(1, 0), (2, 1), (0, 1)]
    assert plots.row_shares([[3, 1], [0, 0]]) == [[0.75, 0.25], [0.0, 0.0]]


def test_curve_marks_the_best_epoch_of_either_direction() -> None:
    rows = [{"epoch": 1, "dev_loss": 0.4}, {"epoch": 2, "dev_loss": 0.2}, {"epoch": 3, "dev_loss": 0.5}]
    lower, higher = plots.curve(rows, "dev_loss"), plots.curve(rows, "dev_loss", lower_is_better=False)
    assert lower is not None
    assert higher is not None
    assert (lower.best, higher.best) == (1, 2)
    assert plots.curve(rows[:1], "dev_loss") is None


@pytest.mark.parametrize("last_counts", [True, False])
def test_where_the_last_epoch_counts_the_curve_says_why(last_counts: bool, tmp_path: Path) -> None:
    result = speech_result()
    result["depth"]["rungs"][1]["last_epoch_counts"] = last_counts
    html, _ = page(result, tmp_path)
    assert ("The last epoch counts: this is the loss of words that were given" in text_of(html)) == last_counts


def test_stages_fill_the_budget_in_order() -> None:
    stages = plots.stages({"read": 10.0, "tune": 30.0}, 80.0)
    assert [(s.name, s.start, s.width) for s in stages] == [("read", 0.0, 12.5), ("tune", 12.5, 37.5)]
    assert plots.stages({"read": 10.0}, None)[0].width == 100.0


def test_what_prove_found_is_the_verdict_and_the_run_s_own_stands_below(tmp_path: Path) -> None:
    result = image_result()
    result["evidence"] |= {"verdict": "no difference", "sentence": "No clear difference: +1.0 points."}
    gain = {"value": 0.1, "low": 0.05, "high": 0.15, "n": 60}
    result["proof"] = {"sentence": "Transfer helped: +10.0 points.", "gain": gain, "points": []}
    html, _ = page(result, tmp_path)
    top = html[: html.index("<nav")]
    assert "▲ Helped" in top and "Transfer helped: +10.0 points." in text_of(html)
    assert "In the run itself:" in top
