"""Score found boxes: COCO's measures by faster-coco-eval, their intervals by resampling pictures, counts, a gallery."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.boxes import Box, boxes_of
from headstart.heads.detection import truth_of
from headstart.metrics.detection import (
    Matched,
    PrecisionTable,
    hits,
    match,
    mean_precision,
    mistakes,
    most_boxes,
    precision_draws,
    precision_table,
)
from headstart.metrics.intervals import drawn_interval, interval
from headstart.tasks.task import Scores
from headstart.types import COUNTS, Prediction

Floats = NDArray[np.float64]
SHOWN = 12  # pictures of the gallery
CURVE = 101  # points of precision against recall


def score_boxes(predictions: Sequence[Prediction], groups: NDArray[np.int64], rng: np.random.Generator) -> Scores:
    """Metrics: map (mean average precision over IoU 0.50 to 0.95), map_50, map_75,
    box_precision and box_recall at the threshold, counting_error (boxes too many or too few in a picture).

    groups: (n,) pictures of one group are drawn together.
    """
    truths = [boxes_of(p.target) for p in predictions]
    classes = sorted(
        {b.label for found in truths for b in found} | {b.label for p in predictions for b in p.boxes or ()}
    )
    pictures = [_matched(found, p, classes) for found, p in zip(truths, predictions)]
    table = precision_table(pictures, len(classes))
    official = _coco(truths, predictions, classes, most_boxes(pictures))
    draws = precision_draws(table, groups)
    parts = {"map": draws, "map_50": draws[:, :1], "map_75": draws[:, 5:6]}
    sampled = {name: mean_precision(part) for name, part in parts.items()}
    count = len(np.unique(groups))
    metrics = {name: drawn_interval(official[name], values, count) for name, values in sampled.items()}
    wrong, objects = (np.array(v, dtype=np.float64) for v in zip(*map(mistakes, pictures)))
    right, counted = (np.array(v, dtype=np.float64) for v in zip(*map(hits, pictures)))
    off = np.array([abs(_counted(p) - t) for p, t in zip(predictions, objects)])
    metrics |= {
        "box_precision": interval(right, counted, groups, rng),
        "box_recall": interval(right, objects, groups, rng),
        "counting_error": interval(off, None, groups, rng),
    }
    details = {
        "per_class": _per_class(table, classes, pictures),
        "boxes": {
            "average_recall": official["ar_100"],
            "by_size": _by_size(official, truths),
            "precision_recall": _curve(pictures),
        },
        "examples": _gallery(predictions, truths, pictures),
    }
    return Scores(metrics, wrong, objects, details, draws=sampled["map"])


def _matched(found: Sequence[Box], prediction: Prediction, classes: list[str]) -> Matched:
    index = {name: n for n, name in enumerate(classes)}
    truth = truth_of(found, classes)
    boxes = prediction.boxes or ()
    corners = np.array([b.corners for b in boxes], dtype=np.float64).reshape(-1, 4)
    scores = np.array([b.score for b in boxes], dtype=np.float64)
    labels = np.array([index[b.label] for b in boxes], dtype=np.int64)
    return match(truth, corners, scores, labels, len(classes))


def _counted(prediction: Prediction) -> int:
    return sum(box.counts for box in prediction.boxes or ())


def _coco(
    truths: Sequence[Sequence[Box]], predictions: Sequence[Prediction], classes: list[str], most: int
) -> dict[str, float]:
    """COCO's figures by faster-coco-eval, of the best `most` boxes of a picture; 0 where nothing was found."""
    from faster_coco_eval import COCO, COCOeval_faster

    names = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "ar_1", "ar_10", "ar_100")
    categories = [{"id": n + 1, "name": name} for n, name in enumerate(classes)]
    ids = {name: n + 1 for n, name in enumerate(classes)}
    annotations: list[dict[str, Any]] = []
    for n, found in enumerate(truths):
        for box in found:
            entry = {"id": len(annotations) + 1, "image_id": n, "category_id": ids[box.label], "area": box.area}
            annotations.append({**entry, "bbox": _xywh(box.corners), "iscrowd": int(box.crowd)})
    answers = [
        {"image_id": n, "category_id": ids[b.label], "bbox": _xywh(b.corners), "score": b.score}
        for n, p in enumerate(predictions)
        for b in p.boxes or ()
    ]
    if not answers or not annotations:
        return dict.fromkeys(names, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO({"images": [{"id": n} for n in range(len(truths))], "annotations": annotations,
                      "categories": categories})  # fmt: skip
        run = COCOeval_faster(truth, truth.loadRes(answers), "bbox")
        run.params.maxDets = [1, 10, most]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {name: max(0.0, float(value)) for name, value in zip(names, run.stats)}


def _xywh(corners: Sequence[float]) -> list[float]:
    left, top, right, bottom = corners
    return [left, top, right - left, bottom - top]


def _per_class(table: PrecisionTable, classes: list[str], pictures: Sequence[Matched]) -> list[dict[str, Any]]:
    precision = table.average_precision()
    rows = []
    for k, name in enumerate(classes):
        at = [(m.labels == k) & (m.scores >= COUNTS) & ~m.ignored[0] for m in pictures]
        right = sum(int((m.fit[0][i] > 0).sum()) for m, i in zip(pictures, at))
        counted, wanted = sum(int(i.sum()) for i in at), int(table.wanted[:, k].sum())
        rows.append({
            "label": name, "n": wanted, "precision": right / max(1, counted), "recall": right / max(1, wanted),
            "f1": 2 * right / max(1, counted + wanted), "average_precision": _number(precision[:, k].mean()),
            "average_precision_50": _number(precision[0, k]),
        })  # fmt: skip
    return rows


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _by_size(official: dict[str, float], truths: Sequence[Sequence[Box]]) -> list[dict[str, Any]]:
    """COCO's sizes, those that occur."""
    limits = {"small": (0.0, 32.0), "medium": (32.0, 96.0), "large": (96.0, float("inf"))}
    rows = []
    for size, (low, high) in limits.items():
        count = sum(low <= b.side < high for found in truths for b in found if not b.crowd)
        if count:
            rows.append({"size": size, "n": count, "map": official[f"map_{size}"]})
    return rows


def _curve(pictures: Sequence[Matched]) -> list[dict[str, float]]:
    """Precision against recall at IoU 0.5 for all classes together, thinned out."""
    total = sum(int(m.wanted.sum()) for m in pictures)
    order = np.argsort(-np.concatenate([m.scores for m in pictures]), kind="stable")
    right, ignored = (np.concatenate(parts)[order] for parts in zip(*((m.fit[0] > 0, m.ignored[0]) for m in pictures)))
    if not total or not len(order):
        return []
    hits, false = np.cumsum(right), np.cumsum(~right & ~ignored)
    recall, precision = hits / total, hits / np.maximum(hits + false, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    chosen = np.unique(np.linspace(0, len(recall) - 1, CURVE).astype(int))
    return [{"recall": float(recall[at]), "precision": float(best[at])} for at in chosen]


def _gallery(
    predictions: Sequence[Prediction], truths: Sequence[Sequence[Box]], pictures: Sequence[Matched]
) -> list[dict[str, Any]]:
    """The pictures with the most mistakes first: what was found, what was missed, what is false."""
    rows: list[dict[str, Any]] = []
    for prediction, found, matched in zip(predictions, truths, pictures):
        boxes = sorted(prediction.boxes or (), key=lambda b: -b.score)
        counted = matched.scores >= COUNTS
        hit = {int(o) for o in matched.objects[0][counted] if o >= 0}
        right = [b for b, fit, c in zip(boxes, matched.fit[0], counted) if c and fit > 0]
        false = [
            b for b, fit, c, i in zip(boxes, matched.fit[0], counted, matched.ignored[0]) if c and not fit and not i
        ]
        missed = [b for n, b in enumerate(found) if n not in hit and not b.crowd]
        told = f"{len(right)} found, {len(missed)} missed, {len(false)} false"
        rows.append({
            "input": prediction.id, "target": f"{len(found)} objects", "output": told,
            "boxes": {"found": [list(b.corners) for b in right], "missed": [list(b.corners) for b in missed],
                      "false": [list(b.corners) for b in false]},
        })  # fmt: skip
    rows.sort(key=lambda row: -len(row["boxes"]["missed"]) - len(row["boxes"]["false"]))
    return rows[:SHOWN]
