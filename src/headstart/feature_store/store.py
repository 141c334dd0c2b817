"""A store: the records of examples under one key, in a folder of shards.

What a store may meet: other processes that write the same or different examples, processes killed while writing, bytes
that changed on disk, shards of another version, a full disk, a folder that cannot be written to. A shard is whole or
not there; a damaged one is removed, said, and its examples are missing from then on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import MachineError
from headstart.feature_store.about import write_about
from headstart.feature_store.files import SHARDS, remove_leftovers
from headstart.feature_store.index import DTYPES, Damaged, OtherFormat
from headstart.feature_store.lock import hold
from headstart.feature_store.shard import Shard
from headstart.feature_store.write_shard import shard_path, write_shard

ELSEWHERE = "set HEADSTART_CACHE (or cache_dir) to a folder"


class FeatureStore:
    """Records of examples under one key. Reading is memory-mapped; only the index is held in memory.

    folder: named by the key; made if it is not there. say: told of files that were removed. about: plain words on what
    the store is for, written beside the records once. dtype: "float32" or "float16", in which values are kept.
    While the object lives its folder counts as in use, and no process evicts it.
    Raises MachineError where the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None],
        about: Mapping[str, str] | None = None,
        dtype: str = "float32",
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}.")
        self.folder = folder
        self.dtype = dtype
        self._say = say
        self._shards: dict[Path, Shard] = {}
        self._where: dict[str, tuple[Shard, int]] = {}
        try:
            lock = hold(folder)
        except OSError as error:
            raise MachineError(
                f"The cache folder {folder} cannot be made: {error.strerror}. Free some space, or {ELSEWHERE} that can "
                "be written to."
            ) from error
        self.close = weakref.finalize(self, os.close, lock) if lock is not None else _nothing
        remove_leftovers(folder)
        self._open_shards(sorted(folder.glob(SHARDS)))
        if about is not None:
            write_about(folder, about)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that every record has, sorted; none while the store is empty."""
        common = [set(shard.names) for shard in self._shards.values()]
        return tuple(sorted(set.intersection(*common))) if common else ()

    def __contains__(self, digest: str) -> bool:
        return digest in self._where

    def __len__(self) -> int:
        return len(self._where)

    def verify(self, digests: Sequence[str]) -> list[str]:
        """Check the bytes of these records, each once while the store is open; returns the digests to compute.

        Those are the ones that were never there and those whose shard proves damaged: it is removed and said.
        """
        while unchecked := self._unchecked(digests):  # what is gone here may lie in another shard
            for shard, positions in unchecked.items():
                self._check(shard, sorted(positions))
        return [digest for digest in digests if digest not in self._where]

    def read(self, digest: str, name: str) -> NDArray[Any]:
        """One example's array with its own shape, in the store's dtype, as a read-only view of the file.

        Raises KeyError for an example or a name that is not there, and MachineError where the bytes prove damaged;
        `verify` beforehand finds that while the example can still be computed again.
        """
        shard, position = self._where[digest]
        if shard.is_unchecked(position):
            if self.verify([digest]):
                raise MachineError("A cached example was damaged and had to be removed. Run again to compute it anew.")
            shard, position = self._where[digest]
        return shard.read(name, position)

    def write(self, records: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
        """Store records by example digest, all or none.

        Arrays of one name may differ in shape but not in their number of axes.
        Raises MachineError when the disk is full or not writable, ValueError where records do not go together, and
        OverflowError where a value does not fit the store's dtype.
        """
        if not records:
            return
        digests = list(records)
        target = shard_path(self.folder, digests)
        if target.exists():  # another process computed the same examples meanwhile
            self._open_shards([target])
            if not self.verify(digests):
                return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_shard(target, records, self.dtype)
        except OSError as error:
            raise MachineError(
                f"The feature cache {self.folder} cannot be written: {error.strerror}. Free some disk space, or "
                f"{ELSEWHERE} with more room that can be written to."
            ) from error
        self._open_shards([target])
        if target in self._shards:
            self._shards[target].trust()
        else:
            raise MachineError(f"{target} reads back differently from what was written. Check the disk, or {ELSEWHERE} "
                               "on another.")  # fmt: skip

    def _open_shards(self, files: Sequence[Path]) -> None:
        faults: list[tuple[Path, Damaged]] = []
        for file in files:
            try:
                self._shards[file] = shard = Shard(file, self.dtype)
            except FileNotFoundError:  # another process found it damaged first
                continue
            except (Damaged, OSError) as error:
                if fault := self._as_damage(file, error):
                    faults.append((file, fault))
            else:
                self._where.update(_places(shard))
        self._remove(faults)

    def _unchecked(self, digests: Sequence[str]) -> dict[Shard, set[int]]:
        found: dict[Shard, set[int]] = {}
        for digest in digests:
            shard, position = self._where.get(digest, (None, 0))
            if shard is not None and shard.is_unchecked(position):
                found.setdefault(shard, set()).add(position)
        return found

    def _check(self, shard: Shard, positions: Sequence[int]) -> None:
        try:
            shard.check(positions)
        except FileNotFoundError:  # another process removed it; what it wrote instead is as good
            self._forget(shard)
            self._open_shards([shard.file])
        except (Damaged, OSError) as error:
            self._forget(shard)
            if fault := self._as_damage(shard.file, error):
                with contextlib.suppress(FileNotFoundError):
                    if shard.is_at(shard.file.stat()):
                        self._remove([(shard.file, fault)])

    def _forget(self, shard: Shard) -> None:
        del self._shards[shard.file]
        self._where = {digest: place for other in self._shards.values() for digest, place in _places(other)}

    def _as_damage(self, file: Path, error: Damaged | OSError) -> Damaged | None:
        """The fault for which to remove a file; None, and said, where the file may be whole and only out of reach."""
        if isinstance(error, Damaged):
            return error
        if error.errno == errno.EIO:
            return Damaged("the disk cannot read it")
        self._say(f"The cache file {file} cannot be read and is passed over ({error.strerror}).")
        return None

    def _remove(self, faults: Sequence[tuple[Path, Damaged]]) -> None:
        """Delete these files and say so in one sentence for each kind of fault."""
        removed: list[Damaged] = []
        for file, fault in faults:
            try:
                file.unlink()
                removed.append(fault)
            except FileNotFoundError:
                pass
            except OSError as error:
                self._say(f"The damaged cache file {file} is passed over ({fault}); it cannot be removed "
                          f"({error.strerror}).")  # fmt: skip
        old = sum(isinstance(fault, OtherFormat) for fault in removed)
        reasons = [str(fault) for fault in removed if not isinstance(fault, OtherFormat)]
        if old:
            self._say(f"Cached features in the format of another version were removed and will be computed again "
                      f"({old} files).")  # fmt: skip
        if reasons:
            what = "A damaged cache file was" if len(reasons) == 1 else f"{len(reasons)} damaged cache files were"
            self._say(f"{what} removed and will be computed again ({', '.join(dict.fromkeys(reasons))}).")


def _places(shard: Shard) -> Iterator[tuple[str, tuple[Shard, int]]]:
    return ((digest, (shard, position)) for position, digest in enumerate(shard.digests))


def _nothing() -> None:
    pass


def stack(store: FeatureStore, digests: Sequence[str], name: str) -> NDArray[np.float32]:
    """Arrays of equal shape of many examples as one (N, ...) float32 array in memory."""
    return np.stack([np.asarray(store.read(d, name), dtype=np.float32) for d in digests])
