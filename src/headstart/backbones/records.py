"""From the outputs of a prefix for a batch to one record for each example."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.backbone import Backbone, Item, Prefix, Record, Windowed


def records_of(
    backbone: Backbone, prefix: Prefix, items: Sequence[Item], outputs: Sequence[NDArray[np.float32]]
) -> list[Record]:
    """One record for each item of a batch, from its row or, where it is read in windows, from its rows."""
    if not isinstance(backbone, Windowed):
        return [_record(prefix, outputs, row, backbone.length(item)) for row, item in enumerate(items)]
    records: list[Record] = []
    row = 0
    for item in items:
        lengths = backbone.window_lengths(item)
        parts = [_record(prefix, outputs, row + i, length) for i, length in enumerate(lengths)]
        records.append(parts[0] if len(parts) == 1 else backbone.joined(parts, lengths))
        row += len(lengths)
    return records


def is_finite(record: Record) -> bool:
    """Whether every number is; a finite sum says so in one fast pass."""
    return all(math.isfinite(float(a.sum())) or bool(np.isfinite(a).all()) for a in record.values())


def _record(prefix: Prefix, outputs: Sequence[NDArray[np.float32]], row: int, length: int) -> Record:
    """One row's arrays, without what was padded along its ragged axes."""
    real = prefix.shapes(length) if prefix.shapes else {}
    record = {}
    for name, out in zip(prefix.output_names, outputs):
        ragged = prefix.ragged.get(name, ())
        shape = real.get(name) or tuple(length if a in ragged else n for a, n in enumerate(out.shape[1:]))
        record[name] = np.array(out[row][tuple(map(slice, shape))])
    return record
