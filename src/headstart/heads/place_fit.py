"""Fit a detector's head in closed form: ridge regression on single places of a backbone's maps.

What a place is to tell: for each class whether it lies in the middle of an object, and the object's box. A dense
version of the linear probes of classification; penalties are chosen by leaving out whole groups of pictures.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.heads.normalise import fold_back, standardise
from headstart.heads.ridge import best_penalty, ridge_fit, ridge_path
from headstart.problem import Problem, Rows
from headstart.stock.place_head import PlaceHead

Floats = NDArray[np.float64]

BACKGROUND = 48  # places of each picture drawn at random
MOST_INSIDE = 48  # places of each picture that lie in objects
MOST_PLACES = 40_000  # in all
MOST_OF_GROUP = 500  # left out together, by inverting a matrix of that size
MIDDLE = 0.5  # of a box's width and height: where a place belongs to its object


class Sampled:
    """Places of some rows. features: (N, D). inside: (N, K). boxes: (N, 4), meaningful where any of inside is.
    owners: (N,) position of each place's row.

    truths: for each row its boxes' corners (n, 4) in the network's pixels, and their labels (n,).
    """

    def __init__(self, problem: Problem, rows: Rows, truths: Sequence[tuple[Floats, NDArray[np.int64]]]) -> None:
        backbone: Any = problem.backbone
        head = PlaceHead(backbone.strides, backbone.channels, problem.n_classes)
        rng = np.random.default_rng([problem.seed, 51])
        each = BACKGROUND + MOST_INSIDE
        largest = int(np.bincount(np.unique(problem.groups[rows], return_inverse=True)[1]).max())
        share = min(1.0, MOST_PLACES / (len(rows) * each), MOST_OF_GROUP / (largest * each))
        parts: list[tuple[Any, ...]] = []
        for n, (row, (corners, labels)) in enumerate(zip(rows, truths)):
            maps = dict(zip(head.names, problem.inputs(np.array([row]), backbone.depths[0].cut)))
            grid = head.joined(maps)[0]  # (D, H, W)
            inside, boxes = around(corners, labels, (grid.shape[1], grid.shape[2]), head.stride, problem.n_classes)
            flat = inside.any(2).ravel()
            chosen = [
                rng.permutation(np.flatnonzero(part))[: max(4, round(share * most))]
                for part, most in ((flat, MOST_INSIDE), (~flat, BACKGROUND))
            ]
            at = np.concatenate(chosen)
            features = grid.flatten(1)[:, torch.from_numpy(at)].T.numpy()
            parts.append((features, inside.reshape(-1, problem.n_classes)[at], boxes.reshape(-1, 4)[at],
                          np.full(len(at), n)))  # fmt: skip
        self.features, self.inside, self.boxes, self.owners = (np.concatenate(found) for found in zip(*parts))

    def of_rows(self, kept: NDArray[np.bool_]) -> Sampled:
        """Places of some of the rows alone; kept: (n,) by position."""
        part = copy.copy(self)
        where = kept[self.owners]
        part.features, part.inside, part.boxes = self.features[where], self.inside[where], self.boxes[where]
        part.owners = (np.cumsum(kept) - 1)[self.owners[where]]
        return part


def around(
    corners: Floats, labels: NDArray[np.int64], grid: tuple[int, int], stride: int, n_classes: int
) -> tuple[NDArray[np.bool_], Floats]:
    """Which classes have the middle of a box at each place (H, W, K), and that box (H, W, 4) as `PlaceHead` gives it.

    corners: (n, 4) in pixels of the square. Where boxes lie over each other the smallest counts.
    """
    inside, boxes = np.zeros((*grid, n_classes), dtype=bool), np.zeros((*grid, 4))
    places_y, places_x = (np.arange(size) + 0.5 for size in grid)
    order = np.argsort(-(corners[:, 2:] - corners[:, :2]).prod(1), kind="stable")
    for (left, top, right, bottom), label in zip(corners[order] / stride, labels[order]):
        x, y, width, height = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        across = np.abs(places_x - x) <= max(MIDDLE * width / 2, 0.5)
        down = np.abs(places_y - y) <= max(MIDDLE * height / 2, 0.5)
        area = np.ix_(down, across)
        inside[area] = False
        inside[(*area, label)] = True
        boxes[(*area, 0)], boxes[(*area, 1)] = (x - places_x[across])[None], (y - places_y[down])[:, None]
        boxes[(*area, 2)], boxes[(*area, 3)] = np.log(max(width, 0.2)), np.log(max(height, 0.2))
    return inside, boxes


def place_errors(problem: Problem, rows: Rows, sampled: Sampled) -> tuple[Floats, dict[str, Any]]:
    """Held-out squared error of each row's places (n,) as a share of the variance; 1 is no better than the mean."""
    x, _, _ = standardise(sampled.features)
    y = sampled.inside.astype(np.float64)
    _, error = _chosen(x, y, _groups(problem, rows, sampled))
    variance = float(((y - y.mean(0)) ** 2).sum(1).mean()) or 1.0
    sums, counts = (np.bincount(sampled.owners, weights=w, minlength=len(rows)) for w in (error, np.ones(len(y))))
    each = sums / np.maximum(counts, 1) / variance
    return np.asarray(each), {"kind": "ridge on places", "places": len(x), "score": float(each.mean())}


def fit_places(problem: Problem, rows: Rows, sampled: Sampled) -> dict[str, torch.Tensor]:
    """Weight (K + 4, D) and bias (K + 4,) of a `PlaceHead`."""
    groups = _groups(problem, rows, sampled)
    found = []
    object_places = sampled.inside.any(1)
    for part, values in ((slice(None), sampled.inside), (object_places, sampled.boxes)):
        x, mean, factor = standardise(sampled.features[part])
        y = np.asarray(values[part], dtype=np.float64)
        if len(y) < 2:
            found.append((np.zeros((y.shape[1], x.shape[1])), np.zeros(y.shape[1])))
            continue
        penalty, _ = _chosen(x, y, groups[part])
        found.append(fold_back(*ridge_fit(x, y, penalty, True), mean, factor))
    weight, bias = (np.concatenate(parts).astype(np.float32) for parts in zip(*found))
    return {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}


def _groups(problem: Problem, rows: Rows, sampled: Sampled) -> NDArray[np.int64]:
    return np.asarray(problem.groups[rows][sampled.owners])


def _chosen(x: Floats, y: Floats, groups: NDArray[np.int64]) -> tuple[float, Floats]:
    """The penalty with the lowest squared error when whole groups are left out, and each place's error (N,)."""
    path = ridge_path(x, y, None, groups, True)

    def error(index: int) -> Floats:
        return np.asarray(((path.leave_one_out(index) - y) ** 2).sum(1))

    index, errors = best_penalty(path, error, lambda found: float(found.mean()))
    return float(path.lambdas[index]), errors
