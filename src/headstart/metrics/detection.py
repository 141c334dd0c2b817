"""How well boxes were found: matching as COCO does it, average precision, and the score from which boxes count.

Matching and average precision (101 recalls, IoU 0.50 to 0.95) after Lin et al. 2014, "Microsoft COCO", and its
evaluation code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.types import COUNTS

Floats = NDArray[np.float64]
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100  # boxes of a picture that average precision looks at, the best ones; see `most_boxes`


def iou(a: Floats, b: Floats, crowd: NDArray[np.bool_] | None = None) -> Floats:
    """Intersection over union (n, m) of corners (n, 4) and (m, 4); for crowds of b over the area of a, as COCO does."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0, None).prod(-1)
    areas = [np.clip(c[:, 2:] - c[:, :2], 0, None).prod(-1) for c in (a, b)]
    union = areas[0][:, None] + areas[1][None] - overlap
    if crowd is not None:
        union = np.where(crowd[None], areas[0][:, None], union)
    return np.asarray(overlap / np.maximum(union, 1e-9))


@dataclass(frozen=True)
class Truth:
    """Objects of a picture. corners: (G, 4). labels: (G,). crowd: (G,)."""

    corners: Floats
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Objects that should be found."""
        return int((~self.crowd).sum())


@dataclass(frozen=True)
class Matched:
    """Boxes found in a picture, best first, beside its objects.

    scores, labels: (D,). fit: (T, D) IoU with the object that each is matched with, 0 for none, at each threshold.
    ignored: (T, D) neither right nor false: it shows a crowd. objects: (T, D) index of the matched object, -1 for none.
    wanted: (K,) objects of each class.
    """

    scores: Floats
    labels: NDArray[np.int64]
    fit: Floats
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]
    wanted: NDArray[np.int64]


def match(
    truth: Truth,
    corners: Floats,
    scores: Floats,
    labels: NDArray[np.int64],
    n_classes: int,
    thresholds: Floats = THRESHOLDS,
) -> Matched:
    """Match found boxes with objects of their class, the best scores first, each with the object it fits best that is
    free; what fits none but lies in a crowd is ignored.

    corners: (D, 4). scores, labels: (D,). thresholds: (T,) IoU that a match needs.
    """
    order = np.argsort(-scores, kind="stable")
    corners, scores, labels = corners[order], scores[order], labels[order]
    shape = (len(thresholds), len(order))
    fit, objects, ignored = np.zeros(shape), np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=bool)
    if len(order) and len(truth.labels):
        overlaps = iou(corners, truth.corners, truth.crowd)
        overlaps = np.where(labels[:, None] == truth.labels[None], overlaps, 0.0)  # (D, G)
        free = np.repeat(~truth.crowd[None], len(thresholds), axis=0)  # (T, G)
        needed = np.minimum(thresholds, 1 - 1e-10)
        for d, overlap in enumerate(overlaps):
            if not overlap.any():
                continue
            possible = np.where(free, overlap[None], 0.0)
            best = len(overlap) - 1 - possible[:, ::-1].argmax(1)  # of equals the last, as in COCO's code
            value = possible[np.arange(len(best)), best]
            hit = value >= needed
            fit[hit, d], objects[hit, d] = value[hit], best[hit]
            free[hit, best[hit]] = False
            in_crowd = overlap[truth.crowd].max(initial=0.0)
            ignored[:, d] = ~hit & (in_crowd >= needed)
    wanted = np.bincount(truth.labels[~truth.crowd], minlength=n_classes)
    return Matched(scores, labels, fit, ignored, objects, wanted)


def mistakes(matched: Matched) -> tuple[int, int]:
    """Objects missed and boxes that are false, at IoU 0.5 and from a score of 0.5 on, and the number of objects."""
    right, counted = hits(matched)
    objects = int(matched.wanted.sum())
    return objects - right + counted - right, objects


def hits(matched: Matched) -> tuple[int, int]:
    """Right boxes and all that count, at IoU 0.5 and from a score of 0.5 on, those in crowds left out."""
    counts = (matched.scores >= COUNTS) & ~matched.ignored[0]
    return int((counts & (matched.fit[0] > 0)).sum()), int(counts.sum())


def best_threshold(pictures: Sequence[Matched]) -> float:
    """The score from which boxes should count, so that F1 over these pictures is highest at IoU 0.5."""
    scores = np.concatenate([m.scores for m in pictures]) if pictures else np.empty(0)
    objects = sum(int(m.wanted.sum()) for m in pictures)
    if not len(scores) or not objects:
        return COUNTS
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    right = np.cumsum(np.concatenate([m.fit[0] > 0 for m in pictures])[order])
    counted = np.cumsum(np.concatenate([~m.ignored[0] for m in pictures])[order])
    f1 = 2 * right / (counted + objects)
    f1[:-1][ordered[1:] == ordered[:-1]] = -1.0  # equal scores count together
    best = int(np.argmax(f1))
    if right[best] == 0:
        return float(min(0.99, ordered[0] + 0.01))
    following = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float(np.clip((ordered[best] + following) / 2, 0.01, 0.99))


@dataclass(frozen=True)
class PrecisionTable:
    """All boxes of all pictures, ready for average precision under any weighting of the pictures.

    By class: scores' order is fixed; each entry holds picture (D,), right (T, D) and ignored (T, D).
    wanted: (P, K) objects of each class in each picture.
    """

    entries: tuple[tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]], ...]
    wanted: NDArray[np.int64]

    def average_precision(self, weights: Floats | None = None) -> Floats:
        """(T, K) at each threshold for each class; NaN for a class without objects.

        weights: (P,) how often each picture counts; once where left out.
        """
        pictures = len(self.wanted)
        w = np.ones(pictures) if weights is None else weights
        totals = w @ self.wanted  # (K,)
        found = np.full((len(self.entries[0][1]), len(self.entries)), np.nan)
        for k, (picture, right, ignored) in enumerate(self.entries):
            if totals[k] > 0:
                found[:, k] = _interpolated(w[picture], right, ignored, float(totals[k]))
        return found


def most_boxes(pictures: Sequence[Matched]) -> int:
    """How many boxes of a picture and class count: 100, as COCO has it, or twice as many as the fullest picture has
    objects, where that is more: with 100 a picture of 300 trees could never score above a third.
    """
    return max([MOST, *(2 * int(m.wanted.max(initial=0)) for m in pictures)])


def precision_table(pictures: Sequence[Matched], n_classes: int) -> PrecisionTable:
    """Gather the matched boxes, the best `most_boxes` of each picture and class."""
    entries = []
    most = most_boxes(pictures)
    for k in range(n_classes):
        kept = [np.flatnonzero(m.labels == k)[:most] for m in pictures]
        scores = np.concatenate([m.scores[i] for m, i in zip(pictures, kept)])
        order = np.argsort(-scores, kind="stable")
        picture = np.repeat(np.arange(len(pictures)), [len(i) for i in kept])[order]
        right = np.concatenate([m.fit[:, i] > 0 for m, i in zip(pictures, kept)], axis=1)[:, order]
        ignored = np.concatenate([m.ignored[:, i] for m, i in zip(pictures, kept)], axis=1)[:, order]
        entries.append((picture, right, ignored))
    return PrecisionTable(tuple(entries), np.stack([m.wanted for m in pictures]))


def _interpolated(weight: Floats, right: NDArray[np.bool_], ignored: NDArray[np.bool_], total: float) -> Floats:
    """Mean over 101 recalls of the highest precision at that recall or beyond, (T,)."""
    hits = np.cumsum(np.where(right, weight, 0.0), axis=1)
    false = np.cumsum(np.where(right | ignored, 0.0, weight), axis=1)
    if not hits.shape[1]:
        return np.zeros(len(right))
    recall = hits / total
    precision = hits / np.maximum(hits + false, 1e-12)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = np.zeros(len(right))
    for t in range(len(right)):
        at = np.searchsorted(recall[t], RECALLS, side="left")
        found[t] = np.where(at < recall.shape[1], best[t, np.minimum(at, recall.shape[1] - 1)], 0.0).mean()
    return found


def precision_draws(table: PrecisionTable, groups: NDArray[np.int64], resamples: int = 400) -> Floats:
    """Average precision (B, T, K) with groups of pictures drawn anew. The draws depend on the number of groups alone:
    those of two systems on the same pictures are paired.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    count = int(codes.max()) + 1
    weights = np.random.default_rng(77).multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)
    return np.stack([table.average_precision(w[codes]) for w in weights])


def mean_precision(found: Floats) -> Floats:
    """Mean over thresholds and classes that have objects, of (..., T, K)."""
    flat = found.reshape(*found.shape[:-2], -1)
    known = np.isfinite(flat)
    return np.asarray(np.where(known, flat, 0.0).sum(-1) / np.maximum(known.sum(-1), 1))
