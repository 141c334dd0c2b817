"""Write a run's split and keep it for another run: test rows stay test rows, whatever is corrected or added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.folds import grouped_folds
from headstart.data.scenes import whole_digest
from headstart.data.split import Split, group_indices, label_indices, require_learnable
from headstart.data.table import read_table
from headstart.errors import DataError
from headstart.types import Dataset, Example

FILE = "split.csv"
HEADER = ("input", "digest", "group", "part", "fold")
TEST = -1  # in place of a fold


def split_rows(dataset: Dataset, split: Split) -> list[list[str]]:
    """The lines of split.csv, one for a picture and all its tiles: id, digests of the content and of the
    group, "test" or "train", and the fold of a row to learn from.
    """
    folds = dict(zip(split.dev.tolist(), split.folds.tolist()))
    lines = {
        (e.part_of or e.id): [e.part_of or e.id, e.digest if not e.part_of else whole_digest(e), e.group,
                              "train" if i in folds else "test", str(folds.get(i, ""))]
        for i, e in enumerate(dataset.examples)
    }  # fmt: skip
    return list(lines.values())


@dataclass(frozen=True)
class SavedSplit:
    """places: (id, digest) -> fold, or TEST. by_digest: the same for rows that were renamed. digests, groups: of each
    id.
    """

    file: Path
    places: dict[tuple[str, str], int]
    by_digest: dict[str, int]
    digests: dict[str, str]
    groups: dict[str, str]

    def places_of(self, examples: Sequence[Example]) -> list[int | None]:
        """Of each its fold, TEST, or None for a row that was not there.

        A row whose content was replaced keeps its place, unless the old content now stands elsewhere.
        """
        there = {e.digest for e in examples}
        found = []
        for e in examples:
            place = self.places.get((e.id, e.digest), self.by_digest.get(e.digest))
            if place is None and e.id in self.digests and self.digests[e.id] not in there:
                place = self.places[e.id, self.digests[e.id]]
            found.append(place)
        return found


def load_split(file: Path) -> SavedSplit:
    """Read a run's split.csv. Raises DataError where it is missing or damaged."""
    if not file.is_file():
        raise DataError(f"{file} does not exist. Name the split.csv of a finished run.")
    table = read_table(file)
    if not set(HEADER) <= set(table.columns):
        raise DataError(f"{file} has the columns {', '.join(table.columns)}; a split has {', '.join(HEADER)}. Name the "
                        "split.csv of a finished run.")  # fmt: skip
    places: dict[tuple[str, str], int] = {}
    groups: dict[str, str] = {}
    for row in table.rows:
        name, digest, group, part, fold = (row.values[c] for c in HEADER)
        if part not in ("train", "test") or (part == "train" and not fold.isdigit()):
            raise DataError(f"{file} {row.id} has the part {part!r} and the fold {fold!r}; a split has train with a "
                            "number, or test. Name the split.csv of a finished run.")  # fmt: skip
        places[name, digest] = TEST if part == "test" else int(fold)
        groups[name] = group
    by_digest = {digest: place for (_, digest), place in places.items()}
    return SavedSplit(file, places, by_digest, dict(places.keys()), groups)


def kept_split(dataset: Dataset, saved: SavedSplit, seed: int, ids_matter: bool) -> tuple[Split, str]:
    """The saved split for these rows, and a sentence on what is new.

    Known rows keep their place. New rows are learnt from, in folds of their own, except copies of known rows (or rows
    of their groups), which go where these are. Test rows that the data themselves mark are taken as they are marked.
    ids_matter: rows are corrected or left out by id, so that ids must mean what they meant.
    Raises DataError where no row is known, where ids have moved though they matter, and where a class cannot be learnt.
    """
    examples = dataset.examples
    old = saved.places_of(examples)
    if all(place is None for place in old):
        raise DataError(f"None of the {len(examples)} rows stands in {saved.file}: it belongs to other data. Name the "
                        "split of a run on these data, or leave it out.")  # fmt: skip
    if ids_matter:
        _require_ids(examples, saved)
    given = [e.split == "test" for e in examples] if any(e.split == "test" for e in examples) else None
    places = _placed(examples, old, label_indices(dataset), group_indices(dataset), seed)
    if given is not None:
        places = [TEST if test else max(place, 0) for test, place in zip(given, places)]
    numbers = np.array(places, dtype=np.int64)
    rows = np.arange(len(examples))
    dev, test = rows[numbers != TEST], rows[numbers == TEST]
    method = "given" if given is not None else "holdout" if TEST in saved.places.values() else "cross-validation"
    if method != "cross-validation" and not len(test):
        raise DataError(f"No test row of {saved.file} is left in the data. Put them back, or leave the split out.")
    split = Split(dev, test, _dense(numbers[dev]), method)
    require_learnable(dataset, split)
    new = sum(place is None for place in old)
    gone = len(saved.places) - len({(e.id, e.digest) for e in examples} & set(saved.places))
    told = [f"{len(examples) - new} rows keep their place"]
    told += [f"{new} new ones are learnt from, but for copies of test rows"] if new else []
    told += [f"{gone} are gone or changed"] if gone else []
    return split, f"split of {saved.file}: {', '.join(told)}"


def _placed(
    examples: Sequence[Example],
    old: Sequence[int | None],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int,
) -> list[int]:
    """A place for every row: its old one, that of its group, or a fold among the new rows."""
    of_group: dict[str, int] = {}
    for example, place in zip(examples, old):
        if place is not None:  # TEST is the smallest: what belongs to both sides must not be learnt from
            of_group[example.group] = min(place, of_group.get(example.group, place))
    places = [of_group.get(e.group) if place is None else place for e, place in zip(examples, old)]
    new = np.array([i for i, place in enumerate(places) if place is None], dtype=np.int64)
    if len(np.unique(groups[new])) > 1:
        known = Counter(place for place in places if place is not None and place != TEST)
        folds = grouped_folds(labels[new], groups[new], max(2, len(known)), seed + 1)
    else:
        folds = np.zeros(len(new), dtype=np.int64)
    for i, fold in zip(new.tolist(), folds.tolist()):
        places[i] = fold
    return [0 if place is None else place for place in places]


def _require_ids(examples: Sequence[Example], saved: SavedSplit) -> None:
    """Raise DataError where the content of a row now stands under another id, as after a row was put in before it."""
    now = {e.digest: e.id for e in examples if saved.digests.get(e.id) != e.digest}
    moved = [e.id for e in examples if e.id in saved.digests and saved.digests[e.id] != e.digest
             and saved.digests[e.id] in now]  # fmt: skip
    if moved:
        raise DataError(f"{len(moved)} ids mean other rows than in {saved.file} (such as {moved[0]}), so that labels "
                        "and exclusions by id would meet the wrong ones. Add new rows at the end of the table, or "
                        "correct the table itself.")  # fmt: skip


def _dense(folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Folds numbered without gaps."""
    return np.unique(folds, return_inverse=True)[1].astype(np.int64)
