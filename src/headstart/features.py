"""Run a frozen prefix once over a data set and keep what it hands on in the feature cache."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.backbones.backbone import Backbone, Item, Prefix
from headstart.feature_store import FeatureStore, Record, stack
from headstart.runtime.choose import choose_engine
from headstart.runtime.engine import Engine
from headstart.runtime.openvino import version as openvino_version
from headstart.types import Example, Reporter

CHUNK_BYTES = 96 << 20  # encoded inputs held at once
SHARD_BYTES = 64 << 20
SAMPLE_EXAMPLES = 8


@dataclass
class Extractor:
    """A backbone's prefix, compiled. hits and misses count examples found in and added to the cache.

    state_bytes: of one example, measured on a sample. keep_state: whether the cut's state is cached, or only the pooled
    features (where the states would not fit the disk).
    """

    backbone: Backbone
    prefix: Prefix
    engine: Engine
    folder: Path
    state_bytes: int = 0
    keep_state: bool = True
    hits: int = 0
    misses: int = 0
    seconds: float = 0.0
    stores: dict[str, FeatureStore] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Examples per second, decoding included: as extracted so far, or by the micro-benchmark."""
        if self.misses >= 4 * SAMPLE_EXAMPLES and self.seconds > 0:
            return self.misses / self.seconds
        return self.engine.examples_per_second


def open_extractor(
    backbone: Backbone, sample: Sequence[Example], cache_dir: Path, reporter: Reporter, engine: str = "auto"
) -> Extractor:
    """Compile the prefix with the engine that a micro-benchmark on these examples finds fastest."""
    prefix = backbone.prefix()
    items = [backbone.encode(e, backbone.views[0]) for e in sample[:SAMPLE_EXAMPLES]]
    items = items[: max(1, backbone.batch_budget // max(backbone.length(i) for i in items))]
    batch = backbone.collate(items)
    named = f"{backbone.key}|{prefix.cut}|{openvino_version()}|{torch.__version__}"
    kept = cache_dir / "engines" / hashlib.sha256(named.encode()).hexdigest()[:32]
    chosen = choose_engine(prefix.module, batch, prefix.input_names, prefix.dynamic_shapes, reporter.say, engine, kept)
    states = chosen.run(batch)[prefix.output_names.index(prefix.state)]
    return Extractor(backbone, prefix, chosen, cache_dir / "features", states.nbytes // len(items))


class Features:
    """Cached outputs of a prefix; rows are positions in the list of examples given."""

    def __init__(self, examples: Sequence[Example], stores: dict[str, FeatureStore], state: str) -> None:
        self.digests = [e.digest for e in examples]
        self.views = tuple(stores)
        self._stores = stores
        self._state = state

    def pooled(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Pooled features (n, D) of these rows, plain view."""
        store = self._stores[self.views[0]]
        return stack(store, [self.digests[r] for r in np.asarray(rows)], name)

    def states(self, rows: NDArray[np.int64], view: str | None = None) -> list[NDArray[np.float32]]:
        """The cut's state for each of these rows, as views of the mapped files."""
        store = self._stores[view or self.views[0]]
        return [store.read(self.digests[r], self._state) for r in np.asarray(rows)]

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """First axis of each row's state: the number of tokens where states are ragged."""
        return np.array([len(s) for s in self.states(rows)], dtype=np.int64)


def extract(
    extractor: Extractor, examples: Sequence[Example], views: Sequence[str], reporter: Reporter, what: str = "Features"
) -> None:
    """Make sure that the cache holds these examples' outputs under every view."""
    begin = time.perf_counter()
    unique = {e.digest: e for e in examples}
    work: list[tuple[str, Example]] = []
    for view in views:
        store = _store(extractor, view, reporter.say)
        missing = [(view, e) for digest, e in unique.items() if digest not in store]
        extractor.hits += len(unique) - len(missing)
        extractor.misses += len(missing)
        work += missing
    if work:
        for _ in reporter.track(_run(extractor, work), what, len(work)):
            pass
        extractor.seconds += time.perf_counter() - begin


def features_of(extractor: Extractor, examples: Sequence[Example], views: Sequence[str]) -> Features:
    """Everything cached for these examples, under these views, by position; only extracted ones can be read."""
    stores = {view: _store(extractor, view, lambda message: None) for view in views}
    return Features(examples, stores, extractor.prefix.state)


def _store(extractor: Extractor, view: str, say: Callable[[str], None]) -> FeatureStore:
    if view not in extractor.stores:
        kept = "state" if extractor.keep_state else "pooled"
        named = "|".join((extractor.backbone.key, extractor.prefix.cut, extractor.engine.key, view, kept))
        key = hashlib.sha256(named.encode()).hexdigest()[:32]
        extractor.stores[view] = FeatureStore(extractor.folder / key, extractor.prefix.ragged, say)
    return extractor.stores[view]


def _run(extractor: Extractor, work: Sequence[tuple[str, Example]]) -> Iterator[Example]:
    """Compute and store records; yields each example once it is computed."""
    pending: dict[str, dict[str, Record]] = {}
    pending_bytes = 0
    for chunk in _chunks(extractor.backbone, work):
        chunk.sort(key=lambda entry: extractor.backbone.length(entry[2]))
        for batch in _batches(extractor.backbone, chunk):
            outputs = extractor.engine.run(extractor.backbone.collate([item for _, _, item in batch]))
            for row, (view, example, item) in enumerate(batch):
                record = _record(extractor, outputs, row, extractor.backbone.length(item))
                pending.setdefault(view, {})[example.digest] = record
                pending_bytes += sum(a.nbytes for a in record.values())
                yield example
            if pending_bytes > SHARD_BYTES:
                _flush(extractor, pending)
                pending_bytes = 0
    _flush(extractor, pending)


def _flush(extractor: Extractor, pending: dict[str, dict[str, Record]]) -> None:
    for view, records in pending.items():
        extractor.stores[view].write(records)
    pending.clear()


def _record(extractor: Extractor, outputs: list[NDArray[np.float32]], row: int, length: int) -> Record:
    prefix = extractor.prefix
    return {
        name: np.array(out[row, :length] if name in prefix.ragged else out[row])
        for name, out in zip(prefix.output_names, outputs)
        if extractor.keep_state or name != prefix.state
    }


_Entry = tuple[str, Example, Item]


def _chunks(backbone: Backbone, work: Sequence[tuple[str, Example]]) -> Iterator[list[_Entry]]:
    """Encode ahead of the engine on other threads; hand on chunks of bounded size."""
    workers = os.cpu_count() or 1
    chunk: list[_Entry] = []
    size = 0
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[str, Example, Future[Item]]] = deque()
        entries = iter(work)
        while True:
            while len(ahead) < 8 * workers and (entry := next(entries, None)) is not None:
                ahead.append((*entry, pool.submit(backbone.encode, entry[1], entry[0])))
            if not ahead:
                break
            view, example, future = ahead.popleft()
            item = future.result()
            chunk.append((view, example, item))
            size += sum(a.nbytes for a in item.values())
            # inputs of one size need no sorting: hand them on as soon as a batch is full, so that decoding overlaps
            full = len(chunk) >= backbone.batch_budget if backbone.length(item) == 1 else size >= CHUNK_BYTES
            if full or len(chunk) >= 8192:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


def _batches(backbone: Backbone, chunk: list[_Entry]) -> Iterator[list[_Entry]]:
    """Neighbours in length, as many as the budget of padded units allows."""
    batch: list[_Entry] = []
    for entry in chunk:
        longest = backbone.length(entry[2])  # the chunk is sorted, so the newest is the longest
        if batch and longest * (len(batch) + 1) > backbone.batch_budget:
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch
