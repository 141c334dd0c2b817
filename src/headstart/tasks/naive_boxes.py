"""A baseline that does not look: boxes where and as large as they usually are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from headstart.data.boxes import Box, boxes_of
from headstart.stock.regions import size_of
from headstart.types import Example, Found, Prediction

MOST_PLACES = 40
SHARE = 0.5  # of pictures with an object at a place, from which a box there counts


def usual_boxes(
    train: Sequence[Example], test: Sequence[Example], classes: Sequence[str], seed: int
) -> list[Prediction]:
    """Whole pictures: the places where objects of the training pictures lie most often (k-means). Tiles, whose places
    mean nothing: a grid of mean boxes, as dense as objects are.
    """
    del classes
    boxes = [[b for b in boxes_of(e.target) if not b.crowd] for e in train]
    if not any(boxes):
        return [Prediction(e.id, e.target, boxes=()) for e in test]
    if any(e.part_of for e in train):
        return [Prediction(e.id, e.target, boxes=_grid(train, boxes, size_of(e.input))) for e in test]
    places = _places(train, boxes, seed)
    found = []
    for e in test:
        width, height = size_of(e.input)
        scaled = [
            Found(p.label, p.score, (p.corners[0] * width, p.corners[1] * height,
                                     p.corners[2] * width, p.corners[3] * height)) for p in places
        ]  # fmt: skip
        found.append(Prediction(e.id, e.target, boxes=tuple(scaled)))
    return found


def _places(train: Sequence[Example], boxes: Sequence[Sequence[Box]], seed: int) -> list[Found]:
    """The usual places as shares of width and height; score: share of pictures with an object there, 1 at most."""
    from sklearn.cluster import KMeans

    points, labels = [], []
    for example, found in zip(train, boxes):
        width, height = size_of(example.input)
        points += [np.array(b.corners) / np.array([width, height, width, height]) for b in found]
        labels += [b.label for b in found]
    values = np.array(points)
    count = min(MOST_PLACES, len(np.unique(values, axis=0)), 1 + 2 * round(len(values) / len(train)))
    fitted = KMeans(count, n_init=3, random_state=seed).fit(values)
    places = []
    for n, centre in enumerate(fitted.cluster_centers_.tolist()):
        own = Counter(label for label, cluster in zip(labels, fitted.labels_) if cluster == n)
        label, _ = own.most_common(1)[0]
        share = min(1.0, sum(own.values()) / len(train))
        places.append(Found(label, share, (centre[0], centre[1], centre[2], centre[3])))
    return places


def _grid(train: Sequence[Example], boxes: Sequence[Sequence[Box]], size: tuple[int, int]) -> tuple[Found, ...]:
    flat = [b for found in boxes for b in found]
    label = Counter(b.label for b in flat).most_common(1)[0][0]
    density = len(flat) / sum(np.prod(size_of(e.input)) for e in train)  # overlaps of tiles are in both
    half_w, half_h = (float(np.mean([b.corners[i + 2] - b.corners[i] for b in flat])) / 2 for i in (0, 1))
    step = float(density**-0.5)
    counts = [max(1, round(side / step)) for side in size]
    centres = [[(n + 0.5) * side / count for n in range(count)] for side, count in zip(size, counts)]
    return tuple(
        Found(label, SHARE, (x - half_w, y - half_h, x + half_w, y + half_h)) for y in centres[1] for x in centres[0]
    )
