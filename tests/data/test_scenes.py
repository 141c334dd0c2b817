"""How pictures are seen: whole or in tiles, what is kept apart, and where tiles lie."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from headstart.data.boxes import Box, as_target, boxes_of
from headstart.data.kept_split import split_rows
from headstart.data.scenes import framing_of, scenes_of, tiles_of, whole_digest, with_tiles
from headstart.data.split import Split
from headstart.stock.regions import split_region, steps, with_region
from headstart.types import Dataset, Example, Framing


def boxes(side: float, count: int = 20) -> list[Box]:
    return [Box("x", (10.0 * n, 5.0, 10.0 * n + side, 5.0 + side)) for n in range(count)]


def test_large_objects_are_seen_in_small_pictures_and_small_ones_in_tiles() -> None:
    sizes = [(1600, 1200)]
    assert framing_of(sizes, [boxes(200)]) == Framing(320)
    assert framing_of(sizes, [boxes(60)]) == Framing(512)
    found = framing_of(sizes, [boxes(30)])
    assert (found.side, found.tile, found.overlap) == (416, 416, 42)  # a tenth of the tile is more than an object
    enlarged = framing_of(sizes, [boxes(8)])
    assert enlarged.tile == 208  # shown twice as large


def test_pictures_smaller_than_the_square_are_not_cut() -> None:
    assert framing_of([(300, 200)], [boxes(6)]).tile is None


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(100, 416, 60), (416, 416, 60), (417, 416, 60), (2472, 416, 65)]
)
def test_tiles_cover_a_side_with_their_overlap(length: int, tile: int, overlap: int) -> None:
    starts = steps(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + min(tile, length) == length
    assert all(b - a <= tile - overlap for a, b in itertools.pairwise(starts))


def test_names_of_regions_are_read_back() -> None:
    assert split_region(with_region("a b#1.png", (1, 2, 3, 4))) == ("a b#1.png", (1, 2, 3, 4))
    assert split_region("a.png") == ("a.png", None)


def example(size: tuple[int, int], found: list[Box]) -> Example:
    return Example("big.png", with_region("/x/big.png", (0, 0, *size)), as_target(found), "group", "digest")


def test_few_pictures_are_cut_into_parts_of_their_own_groups() -> None:
    parts = scenes_of(example((900, 600), boxes(20, 80)), (900, 600), 1)
    assert len(parts) == 9
    assert len({part.group for part in parts}) == 9
    assert sum(len(boxes_of(part.target)) for part in parts) >= 80
    assert scenes_of(example((900, 600), []), (900, 600), 6) == [example((900, 600), [])]


def test_tiles_take_the_place_of_the_rows_to_learn_from_and_know_their_picture() -> None:
    learnt, held = example((800, 500), boxes(20, 70)), example((500, 500), [])
    parts = scenes_of(learnt, (800, 500), 4)
    dataset = Dataset("object-detection", "image", None, (*parts, held), (), ("x",), {}, "",  # type: ignore[arg-type]
                      framing=Framing(416, 200, 40), several=True)  # fmt: skip
    split = Split(np.arange(len(parts)), np.array([len(parts)]), np.arange(len(parts)) % 2, "given")
    tiled, kept = with_tiles(dataset, split)
    assert [tiled.examples[row] for row in kept.test] == [held]
    assert len(kept.dev) == sum(len(tiles_of(part, Framing(416, 200, 40))) for part in parts)
    assert len({e.digest for e in tiled.examples}) == len(tiled.examples)
    for row, fold in zip(kept.dev, kept.folds):
        tile = tiled.examples[row]
        part = next(p for p in parts if p.id == tile.part_of)
        assert parts.index(part) % 2 == fold
        assert whole_digest(tile) == part.digest
        assert tile.group == part.group
        outer, inner = split_region(part.input)[1], split_region(tile.input)[1]
        assert outer and inner and outer[0] <= inner[0] and inner[0] + inner[2] <= outer[0] + outer[2]
    lines = split_rows(tiled, kept)
    assert [line[0] for line in lines] == [held.id, *(p.id for p in parts)]
