"""From annotated pictures to rows: how a detector sees them, what is kept apart, and the tiles that it learns from.

A scene is what is scored as one: a picture, or a part of one where there are too few pictures to hold some back.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from headstart.data.boxes import Box, as_target, boxes_of, within
from headstart.data.split import Split
from headstart.stock.regions import Region, size_of, split_region, steps, with_region
from headstart.types import Dataset, Example, Framing

SIDES = (320, 416, 512, 640)  # pixels of the square that the network sees
TILE_SIDE = 416
SMALL_OBJECT = 16.0  # pixels of the network's input that all but a tenth of the objects should span
MOST_ENLARGED = 2.0
LARGE = 0.9  # of objects are smaller than tiles overlap
OVERLAPS = (0.1, 0.4)  # of a tile, at least and at most
MIN_SCENES = 9  # a single picture is cut into so many parts
FEW_PICTURES = 6  # fewer are cut into parts
SHOWN = 0.4  # of an object's area that a part must show, for it to be asked for there


def framing_of(sizes: Sequence[tuple[int, int]], boxes: Sequence[Sequence[Box]]) -> Framing:
    """The smallest square in which whole pictures leave nine of ten objects large enough, else tiles.

    sizes: of the pictures, in pixels. boxes: of each.
    """
    spans = [
        box.side / max(size) for size, found in zip(sizes, boxes) for box in found if not box.crowd
    ]  # as shares of the longer side
    if not spans:
        return Framing(TILE_SIDE)
    small = float(np.quantile(spans, 0.1))
    longest = max(max(size) for size in sizes)
    for side in SIDES:
        if small * side >= SMALL_OBJECT or side >= longest:
            return Framing(side)
    sides = [box.side for found in boxes for box in found if not box.crowd]
    scale = min(MOST_ENLARGED, max(1.0, SMALL_OBJECT / float(np.quantile(sides, 0.1))))
    tile = round(TILE_SIDE / scale)
    overlap = min(max(float(np.quantile(sides, LARGE)), OVERLAPS[0] * tile), OVERLAPS[1] * tile)
    return Framing(TILE_SIDE, tile, math.ceil(overlap))


def scenes_of(example: Example, size: tuple[int, int], pictures: int) -> list[Example]:
    """The picture as it is, or its parts, where fewer than six pictures would leave too little to hold back.

    example: the whole picture with its boxes. pictures: of its side of the split.
    """
    if pictures >= FEW_PICTURES:
        return [example]
    count = math.ceil(math.sqrt(MIN_SCENES / pictures))
    xs, ys = ([round(n * side / count) for n in range(count + 1)] for side in size)
    rows, columns = (list(itertools.pairwise(ends)) for ends in (ys, xs))
    regions = [(x, y, right - x, bottom - y) for y, bottom in rows for x, right in columns]
    return [replace(_part(example, region), group=f"{example.group} {n}") for n, region in enumerate(regions)]


def _part(example: Example, region: Region) -> Example:
    """What the picture, or the part of it that this example is, shows in a region of its own."""
    file, outer = split_region(example.input)
    x, y = (outer[0], outer[1]) if outer else (0, 0)
    inner = (region[0] + x, region[1] + y, region[2], region[3])
    name = split_region(example.id)[0]
    return replace(
        example,
        id=with_region(name, inner),
        input=with_region(file, inner),
        target=as_target(within(boxes_of(example.target), region, SHOWN)),
        digest=f"{example.digest.partition(':')[0]}:{'x'.join(map(str, inner))}",
        near=f"{example.near.partition(':')[0]}:{'x'.join(map(str, inner))}" if example.near else "",
    )


def whole_digest(part: Example) -> str:
    """The digest of the row that a tile is a part of."""
    region = split_region(part.part_of)[1]
    content = part.digest.partition(":")[0]
    return f"{content}:{'x'.join(map(str, region))}" if region else content


def tiles_of(scene: Example, framing: Framing) -> list[Example]:
    """The parts of a picture that a detector looks at; the picture itself where it is seen whole."""
    if framing.tile is None:
        return [scene]
    width, height = size_of(scene.input)
    tile = framing.tile
    return [
        replace(_part(scene, (x, y, min(tile, width), min(tile, height))), part_of=scene.id)
        for y in steps(height, tile, framing.overlap)
        for x in steps(width, tile, framing.overlap)
    ]


def with_tiles(dataset: Dataset, split: Split) -> tuple[Dataset, Split]:
    """The same, with the tiles of the rows to learn from in their place; test rows stay whole.

    Every input names its region.
    """
    framing = dataset.framing
    if framing is None or framing.tile is None:
        return dataset, split
    examples: list[Example] = [dataset.examples[row] for row in split.test]
    folds: list[int] = []
    for row, fold in zip(split.dev, split.folds):
        tiles = tiles_of(dataset.examples[row], framing)
        examples += tiles
        folds += [int(fold)] * len(tiles)
    test = np.arange(len(split.test))
    dev = np.arange(len(split.test), len(examples))
    told = (
        f"large images with small objects are looked at in tiles of {framing.tile} pixels that overlap by "
        f"{framing.overlap} or more: {len(split.dev)} images or parts of images to learn from make {len(dev)} tiles"
    )
    tiled = replace(
        dataset,
        examples=tuple(examples),
        notes=(*dataset.notes, told),
        side={},
        objects=dict(box_classes(dataset.examples)),
    )
    return tiled, replace(split, dev=dev, test=test, folds=np.array(folds, dtype=np.int64))


def box_classes(examples: Iterable[Example]) -> Counter[str]:
    """How many objects of each class there are, crowds left out."""
    return Counter(box.label for e in examples for box in boxes_of(e.target) if not box.crowd)
