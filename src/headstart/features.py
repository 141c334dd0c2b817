"""Run a frozen prefix once over a data set and keep what it hands on in the feature cache."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.backbones.backbone import Backbone, Item, Prefix, Record, Timed
from headstart.backbones.records import is_finite, records_of
from headstart.errors import ModelError
from headstart.feature_store import FeatureStore, stack
from headstart.runtime.choose import choose_engine
from headstart.runtime.engine import Engine, Run
from headstart.runtime.memory import recall_torch_share, remember_torch_share
from headstart.runtime.openvino import version as openvino_version
from headstart.runtime.reduced import reduced_engine
from headstart.runtime.torch import compile_torch
from headstart.types import Example, Reporter

CHUNK_BYTES = 96 << 20  # encoded inputs held at once
SHARD_BYTES = 64 << 20
SAMPLE_EXAMPLES = 8
LENGTH_EXAMPLES = 64  # from which lengths are learnt, where inputs have several
POOLED = "pooled"
HEADROOM = 8.0  # values in a sample are at most this share of the largest that float16 holds

Rows = NDArray[np.int64]
_Entry = tuple[str, Example, Item]


@dataclass
class Extractor:
    """A backbone's prefix, compiled. hits and misses count examples found in and added to the cache.

    parts: what is kept of each example, each in a store of its own: "pooled", and the cuts whose states are cached.
    part_bytes: of one example's part, measured on a sample. speedup: how many times faster an example of mean length is
    than those that the engine was timed on. kept: where the converted network lies. dtype: in which values are kept.
    batches_by_torch: those whose answers were not finite by the engine. opened_s: seconds that opening took.
    """

    backbone: Backbone
    prefix: Prefix
    engine: Engine
    folder: Path
    parts: tuple[str, ...]
    kept: Path = Path()
    dtype: str = "float32"
    part_bytes: dict[str, int] = field(default_factory=dict)
    speedup: float = 1.0
    hits: int = 0
    misses: int = 0
    seconds: float = 0.0
    batches_by_torch: int = 0
    opened_s: float = 0.0
    stores: dict[tuple[str, str], FeatureStore] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Examples per second, decoding included: as extracted so far, or by the micro-benchmark."""
        if self.misses >= 4 * SAMPLE_EXAMPLES and self.seconds > 0:
            return self.misses / self.seconds
        return self.speedup * self.engine.examples_per_second

    @property
    def stock_rate(self) -> float:
        """Examples per second of the stock loader, which runs on torch; a guess where torch was not timed."""
        torch_rate = self.speedup * self.engine.torch_examples_per_second
        return min(self.rate, torch_rate if math.isfinite(torch_rate) else self.rate / 5)

    def note_stock_rate(self, rate: float) -> None:
        """Keep for later runs what the stock loader took: its examples per second over many of them."""
        if self.engine.name != "torch":
            remember_torch_share(self.kept, rate / (self.speedup * self.engine.examples_per_second))

    def key_of(self, example: Example) -> str:
        """Under which its records lie: its content's digest, with the target's where the backbone reads that."""
        if not self.backbone.reads_targets:
            return example.digest
        return hashlib.sha256(f"{example.digest}|{example.target}".encode(errors="surrogatepass")).hexdigest()

    def names(self, part: str) -> tuple[str, ...]:
        """The prefix's outputs that make up this part."""
        return self.prefix.pooled if part == POOLED else self.prefix.states[part]


def open_extractor(
    backbone: Backbone,
    sample: Sequence[Example],
    cache_dir: Path,
    reporter: Reporter,
    engine: str = "auto",
    cuts: Sequence[str] = (),
    inputs: int | None = None,
) -> Extractor:
    """Compile the prefix with the engine that a micro-benchmark on these examples finds fastest.

    inputs: how many will be extracted, of which few are not worth a conversion.
    sample: some tens of examples, drawn evenly. cuts: those whose states are to be cached beside the pooled features.
    """
    begin = time.perf_counter()
    prefix = backbone.prefix(cuts)
    items, speedup = _typical(backbone, sample)
    batch = backbone.collate(items)
    named = f"{backbone.key}|{','.join(cuts)}|{openvino_version()}|{torch.__version__}"
    kept = cache_dir / "engines" / hashlib.sha256(named.encode()).hexdigest()[:32]
    given = prefix.module, batch, prefix.input_names, prefix.dynamic_shapes
    chosen = choose_engine(*given, reporter.say, engine, kept, inputs)
    share = recall_torch_share(kept)
    if share is not None and chosen.name != "torch":
        chosen = replace(chosen, torch_examples_per_second=share * chosen.examples_per_second)
    parts = ((POOLED,) if prefix.pooled else ()) + tuple(cuts)
    extractor = Extractor(backbone, prefix, chosen, cache_dir / "features", parts, kept)
    extractor.speedup = speedup
    middle = backbone.collate(items[len(items) // 2 :][:1])
    sizes = {n: out.nbytes for n, out in zip(prefix.output_names, chosen.run(middle))}
    extractor.part_bytes = {part: sum(sizes[n] for n in extractor.names(part)) for part in parts}
    extractor.opened_s = time.perf_counter() - begin
    return extractor


def reduced_extractor(exact: Extractor, sample: Sequence[Example]) -> Extractor | str:
    """The same prefix in 16-bit arithmetic, whose values are kept in float16; or why there is none.

    sample: as for open_extractor.
    """
    items, _ = _typical(exact.backbone, sample)
    batch, prefix = exact.backbone.collate(items), exact.prefix
    engine = reduced_engine(exact.engine, prefix.module, batch, prefix.input_names, exact.kept)
    if isinstance(engine, str):
        return engine
    largest = max(float(np.abs(out).max()) for out in engine.run(batch))
    if not largest * HEADROOM < np.finfo(np.float16).max:
        return f"values reach {largest:.0f}, too large to keep in float16"
    sizes = {part: size // 2 for part, size in exact.part_bytes.items()}
    return replace(exact, engine=engine, dtype="float16", part_bytes=sizes, hits=0, misses=0, seconds=0.0, stores={})


def _typical(backbone: Backbone, sample: Sequence[Example]) -> tuple[list[Item], float]:
    """A batch of middling length, and the ratio of its padded length to the mean one."""
    items = [backbone.encode(e, backbone.views[0]) for e in sample[:SAMPLE_EXAMPLES]]
    if any(backbone.length(item) > 1 for item in items):
        items += [backbone.encode(e, backbone.views[0]) for e in sample[SAMPLE_EXAMPLES:LENGTH_EXAMPLES]]
    items.sort(key=backbone.length)
    mean = sum(map(backbone.length, items)) / len(items)
    count = min(SAMPLE_EXAMPLES, len(items))
    first = (len(items) - count) // 2
    middle = items[first : first + count]
    middle = middle[: max(1, backbone.batch_budget // backbone.length(middle[-1]))]
    return middle, backbone.length(middle[-1]) / mean


class Features:
    """Cached outputs of a prefix; rows are positions in the list of examples given.

    Without an extractor nothing is cached: a network that trains on the inputs themselves only needs the views' names.
    """

    def __init__(self, examples: Sequence[Example], extractor: Extractor | None, views: Sequence[str]) -> None:
        self._examples = examples
        self.keys = [extractor.key_of(e) for e in examples] if extractor else []
        self.views = tuple(views)
        self.cuts = tuple(part for part in extractor.parts if part != POOLED) if extractor else ()
        self._opened = extractor

    @property
    def _extractor(self) -> Extractor:
        assert self._opened is not None, "nothing is cached for a network that trains on its inputs"
        return self._opened

    def _store(self, part: str, view: str | None) -> FeatureStore:
        return _store(self._extractor, view or self.views[0], part, _nobody)

    def pooled(self, name: str, rows: Rows) -> NDArray[np.float32]:
        """Pooled features (n, D) of these rows, plain view."""
        return stack(self._store(POOLED, None), [self.keys[r] for r in np.asarray(rows)], name)

    def states(self, rows: Rows, cut: str, views: Sequence[str] | None = None) -> list[Record]:
        """The cut's state of each of these rows, as views of the mapped files; views: one for each row."""
        names = self._extractor.names(cut)
        found: list[Record] = []
        for i, row in enumerate(np.asarray(rows)):
            store = self._store(cut, views[i] if views else None)
            found.append({name: store.read(self.keys[row], name) for name in names})
        return found

    def lengths(self, rows: Rows) -> NDArray[np.int64]:
        """Length of each row where states are ragged (tokens), or where shorter ones train faster, else 1."""
        backbone = self._opened.backbone if self._opened is not None else None
        if isinstance(backbone, Timed):
            return np.array([backbone.step_length(self._examples[r]) for r in rows], dtype=np.int64)
        for cut in self.cuts:
            for name in self._extractor.names(cut):
                if self._extractor.prefix.ragged[name]:
                    axis, store = self._extractor.prefix.ragged[name][0], self._store(cut, None)
                    return np.array([store.read(self.keys[r], name).shape[axis] for r in rows], dtype=np.int64)
        return np.ones(len(rows), dtype=np.int64)


def extract(
    extractor: Extractor, examples: Sequence[Example], views: Sequence[str], reporter: Reporter, what: str = "Features"
) -> None:
    """Make sure that the cache holds these examples' outputs under every view."""
    begin = time.perf_counter()
    unique = {extractor.key_of(e): e for e in examples}
    work: list[tuple[str, Example]] = []
    for view in views:
        missing = missing_from_cache(extractor, list(unique), view, reporter)
        extractor.hits += len(unique) - len(missing)
        extractor.misses += len(missing)
        work += [(view, e) for key, e in unique.items() if key in missing]
    if work:
        for _ in reporter.track(_run(extractor, work, reporter.say), what, len(work)):
            pass
        extractor.seconds += time.perf_counter() - begin


def missing_from_cache(extractor: Extractor, keys: Sequence[str], view: str, reporter: Reporter) -> set[str]:
    """Those of these examples' keys that lack a part under this view, or whose record proves damaged."""
    missing: set[str] = set()
    for part in extractor.parts:
        missing.update(_store(extractor, view, part, reporter.say).verify(keys))
    return missing


def features_of(extractor: Extractor, examples: Sequence[Example], views: Sequence[str]) -> Features:
    """Everything cached for these examples, under these views, by position; only extracted ones can be read."""
    return Features(examples, extractor, views)


def _nobody(message: str) -> None:
    del message


def _store(extractor: Extractor, view: str, part: str, say: Callable[[str], None]) -> FeatureStore:
    if (view, part) not in extractor.stores:
        backbone, engine = extractor.backbone, extractor.engine
        named = "|".join((backbone.key, part, ",".join(extractor.names(part)), engine.key, view))
        key = hashlib.sha256(named.encode()).hexdigest()[:32]
        about = {"model": backbone.source.id, "cut": part, "engine": engine.key, "view": view}
        extractor.stores[view, part] = FeatureStore(extractor.folder / key, say, about, extractor.dtype)
    return extractor.stores[view, part]


def _run(extractor: Extractor, work: Sequence[tuple[str, Example]], say: Callable[[str], None]) -> Iterator[Example]:
    """Compute and store records; yields each example once it is computed."""
    pending: dict[tuple[str, str], dict[str, Record]] = {}
    pending_bytes = 0
    batches = (batch for chunk in _chunks(extractor.backbone, work) for batch in _batches(extractor, chunk))
    for batch, outputs in _computed(extractor, batches):
        for (view, example, _), record in zip(batch, _finite_records(extractor, batch, outputs, say)):
            pending_bytes += sum(a.nbytes for a in record.values())
            for part in extractor.parts:
                kept = {name: record[name] for name in extractor.names(part)}
                pending.setdefault((view, part), {})[extractor.key_of(example)] = kept
            yield example
        if pending_bytes > SHARD_BYTES:
            _flush(extractor, pending)
            pending_bytes = 0
    _flush(extractor, pending)


def _computed(
    extractor: Extractor, batches: Iterator[list[_Entry]]
) -> Iterator[tuple[list[_Entry], list[NDArray[np.float32]]]]:
    """Batches with their outputs, in order, as many at once as the engine has lanes; one more waits."""
    lanes: SimpleQueue[Run] = SimpleQueue()
    for lane in extractor.engine.lanes:
        lanes.put(lane)

    def compute(batch: list[_Entry]) -> list[NDArray[np.float32]]:
        inputs = extractor.backbone.collate([item for _, _, item in batch])
        lane = lanes.get()
        try:
            return lane(inputs)
        finally:
            lanes.put(lane)

    count = len(extractor.engine.lanes)
    with ThreadPoolExecutor(count) as pool:
        running: deque[tuple[list[_Entry], Future[list[NDArray[np.float32]]]]] = deque()
        for batch in batches:
            running.append((batch, pool.submit(compute, batch)))
            if len(running) > count:
                done, future = running.popleft()
                yield done, future.result()
        while running:
            done, future = running.popleft()
            yield done, future.result()


def _finite_records(
    extractor: Extractor, batch: list[_Entry], outputs: list[NDArray[np.float32]], say: Callable[[str], None]
) -> list[Record]:
    """One record for each example; a batch that the engine did not compute to finite numbers is computed by torch.

    Raises ModelError where torch does no better.
    """
    backbone, prefix, name = extractor.backbone, extractor.prefix, extractor.engine.name
    items = [item for _, _, item in batch]
    records = records_of(backbone, prefix, items, outputs)
    if all(map(is_finite, records)):
        return records
    if extractor.batches_by_torch == 0 and name != "torch":
        told = f"{name} gave values that are not finite: such batches are computed by torch, which is slower"
        say(f"{told[0].upper()}{told[1:]}.")
        extractor.engine = replace(extractor.engine, why=f"{extractor.engine.why}; {told}")
    extractor.batches_by_torch += 1
    outputs = compile_torch(prefix.module, prefix.input_names)(backbone.collate(items))
    records = records_of(backbone, prefix, items, outputs)
    for (_, example, _), record in zip(batch, records):
        if not is_finite(record):
            raise ModelError(
                f"{backbone.source.id} turns {example.id} into values that are not finite (NaN or infinite). "
                "Its weights may be damaged, or made for another precision; get them again or name another model."
            )
    return records


def _flush(extractor: Extractor, pending: dict[tuple[str, str], dict[str, Record]]) -> None:
    for place, records in pending.items():
        try:
            extractor.stores[place].write(records)
        except OverflowError as error:
            raise ModelError(f"{error} --engine torch does, where there is no GPU.") from error
    pending.clear()


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


def _batches(extractor: Extractor, chunk: list[_Entry]) -> Iterator[list[_Entry]]:
    """Neighbours in length, as many as the budget of padded units allows; equal ones where padding is seen."""
    backbone, equal = extractor.backbone, extractor.prefix.equal_lengths
    batch: list[_Entry] = []
    for entry in sorted(chunk, key=lambda entry: backbone.length(entry[2])):
        longest = backbone.length(entry[2])  # of all so far
        too_much = longest * (len(batch) + 1) > backbone.batch_budget
        if batch and (too_much or (equal and longest != backbone.length(batch[0][2]))):
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch
