"""Group rows that must not be separated: same content, near duplicates, or the user's own groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.data.checked import Checked

# Share of a picture's own contrast by which the sketches of near duplicates may differ (root mean square). Measured
# on the 2,624 solar cells of ELPV: re-encoded (JPEG 50-95) and resized (0.4-1.5) copies lie at 0.003-0.03, 1 in 200 at
# 0.04; the nearest different cell at 0.062.
SIMILAR = 0.04
LARGEST_UNION = 0.2  # a union of more distinct pictures than this share comes from a scene that never changes
BLOCK = 128

Links = NDArray[np.int64]  # (n, 2) row indices that belong together


class Grouped(NamedTuple):
    """groups: name of each row's group. near: the same for copies and near copies alone. notes: for the summary."""

    groups: list[str]
    near: list[str]
    notes: list[str]


def group_rows(outcomes: Sequence[Checked], user_groups: Sequence[str]) -> Grouped:
    """Name each row's group.

    user_groups: the group column's value for each row, "" where there is none. Unions are transitive. A name is the
    group's smallest content digest, so it depends neither on the order of the rows nor on the seed.
    """
    by_sketch, notes = _linked_by_sketch(outcomes)
    nobody = [""] * len(outcomes)
    near = _names(outcomes, np.concatenate([_linked_by_key(outcomes, nobody), by_sketch]))
    if not any(user_groups):
        return Grouped(near, near, notes)
    groups = _names(outcomes, np.concatenate([_linked_by_key(outcomes, user_groups), by_sketch]))
    return Grouped(groups, near, notes)


def _names(outcomes: Sequence[Checked], links: Links) -> list[str]:
    """Of each row the smallest digest among those it is linked with."""
    member = _components(len(outcomes), links).tolist()
    name: dict[int, str] = {}
    for part, outcome in zip(member, outcomes):
        name[part] = min(name.get(part, outcome.digest), outcome.digest)
    return [name[part] for part in member]


def _linked_by_key(outcomes: Sequence[Checked], user_groups: Sequence[str]) -> Links:
    links = []
    for keys in ([o.digest for o in outcomes], [o.near for o in outcomes], user_groups):
        first: dict[str, int] = {}
        for i, key in enumerate(keys):
            if key and first.setdefault(key, i) != i:
                links.append((first[key], i))
    return np.array(links, dtype=np.int64).reshape(-1, 2)


def _linked_by_sketch(outcomes: Sequence[Checked]) -> tuple[Links, list[str]]:
    """Links between near duplicates; none, and a note, where a large part of all pictures would be one group."""
    rows = np.array(list({o.digest: i for i, o in enumerate(outcomes) if o.sketch}.values()), dtype=np.int64)
    if len(rows) < 2:
        return np.empty((0, 2), dtype=np.int64), []
    sketches = np.stack([np.frombuffer(outcomes[i].sketch, dtype=np.float32) for i in rows])
    largest = max(20, int(LARGEST_UNION * len(rows)))
    links = near_duplicates(sketches, largest)
    sizes = np.bincount(_components(len(rows), links))
    if sizes.max() > largest:
        note = (f"at least {sizes.max()} of {len(rows)} images look alike at a glance (a fixed scene?), so only exact "
                "copies are kept together; name a --group-column if more belong together")  # fmt: skip
        return links[:0], [note]
    alike = int(sizes[sizes > 1].sum())
    notes = [f"{alike} near-duplicate images (re-encoded or resized copies) are kept together"] if alike else []
    return rows[links], notes


def near_duplicates(sketches: NDArray[np.float32], largest: int) -> Links:
    """Links between sketches (N, D) that differ by at most SIMILAR of the smaller contrast.

    Stops early once they join more than `largest` sketches to one union.
    """
    mean, contrast = sketches.mean(1), sketches.std(1)  # (N,)
    order = np.argsort(mean, kind="stable")
    mean, contrast = mean[order], contrast[order]
    # the mean apart: in float32 the differences of interest would drown in the squares of the brightness
    shape = sketches[order] - mean[:, None]  # (N, D)
    squares = (shape**2).mean(1)
    links = np.empty((0, 2), dtype=np.int64)
    for start in range(0, len(order), BLOCK):
        stop = min(start + BLOCK, len(order))
        # brightness cannot differ by more than the whole sketch does, so only the next few rows can match
        end = int(np.searchsorted(mean, mean[stop - 1] + SIMILAR * contrast[start:stop].max(), side="right"))
        squared = (
            squares[start:stop, None] + squares[start:end] - 2 * shape[start:stop] @ shape[start:end].T / shape.shape[1]
        )
        squared += (mean[start:stop, None] - mean[start:end]) ** 2
        limit = SIMILAR * np.minimum(contrast[start:stop, None], contrast[start:end])
        left, right = np.nonzero(np.triu(squared <= limit**2, k=1))
        if len(left):
            found = np.stack([left, right], axis=1) + start
            links = _spanning(len(order), np.concatenate([links, found]))
            if np.bincount(_components(len(order), links)).max() > largest:
                break
    return np.asarray(order[links])


def _components(count: int, links: Links) -> NDArray[np.int64]:
    """Component number of each of `count` rows."""
    graph = coo_array((np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _spanning(count: int, links: Links) -> Links:
    """As few links as connect the same rows; keeps memory small where thousands of pictures are alike."""
    member = _components(count, links)
    _, first = np.unique(member, return_index=True)
    rows = np.arange(count)
    head = first[member]
    return np.stack([head[head != rows], rows[head != rows]], axis=1).astype(np.int64)
