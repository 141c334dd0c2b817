"""Answers and measurements that a later run need not repeat, kept in the feature cache beside what networks give."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import MachineError
from headstart.feature_store import FeatureStore, stack
from headstart.problem import Rows
from headstart.sources.digest import file_digest
from headstart.stages.context import Context
from headstart.stock_process import STOCK, prediction_of
from headstart.types import Example, Prediction

PACKAGES = ("torch", "torchvision", "timm", "transformers", "tokenizers", "numpy", "pillow", "soundfile", "scipy",
            "scikit-learn")  # fmt: skip
ANSWER, FEATURES = "answer", "features"
CONTENT = hashlib.sha256(b"content").hexdigest()


class Kept:
    """JSON under all that it follows from.

    named: what that is; this package's own files and the versions of the libraries are always part of it. made_by:
    plain words for `headstart cache`. Without room for a folder nothing is kept.
    """

    def __init__(self, context: Context, named: Sequence[str], made_by: str) -> None:
        parts = [*named, sys.version, *(f"{name} {_version(name)}" for name in PACKAGES), _own_files()]
        key = hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
        about = {"model": context.run.path.name, "cut": "answers", "engine": made_by, "view": "plain"}
        self._store: FeatureStore | None = None
        with contextlib.suppress(MachineError):
            self._store = FeatureStore(context.cache_dir / "features" / key, context.reporter.say, about)

    def _read(self, digest: str) -> Any:
        assert self._store is not None
        return json.loads(self._store.read(digest, ANSWER).astype(np.uint8).tobytes())

    def _write(self, records: dict[str, dict[str, NDArray[Any]]]) -> None:
        """A disk that takes no more costs the same work next time."""
        if self._store is not None:
            with contextlib.suppress(MachineError):
                self._store.write(records)


class KeptContent(Kept):
    """One measurement."""

    def read(self) -> Any:
        """What was written last; None where nothing was, or it is damaged."""
        return None if self._store is None or self._store.verify([CONTENT]) else self._read(CONTENT)

    def write(self, content: Any) -> None:
        """Keep it."""
        self._write({CONTENT: {ANSWER: _bytes(content)}})


class KeptAnswers(Kept):
    """Answers by an example's content."""

    def holds(self, examples: Sequence[Example]) -> bool:
        """Whether every one of them was answered; of none, nothing is known."""
        return self._store is not None and bool(examples) and not self._store.verify([e.digest for e in examples])

    def answers(self, examples: Sequence[Example]) -> list[Prediction]:
        """The answers to these examples, which must be held."""
        return [prediction_of(e.id, e.target, self._read(e.digest)) for e in examples]

    def features(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """The features (n, D) that were kept with the answers."""
        assert self._store is not None
        return stack(self._store, [e.digest for e in examples], FEATURES)

    def keep(
        self,
        examples: Sequence[Example],
        rows: Sequence[dict[str, Any]],
        features: NDArray[np.float32] | None = None,
    ) -> None:
        """Keep answers, and features beside."""
        records: dict[str, dict[str, NDArray[Any]]] = {}
        for i, (example, row) in enumerate(zip(examples, rows)):
            records[example.digest] = {ANSWER: _bytes(row)}
            if features is not None:
                records[example.digest][FEATURES] = features[i]
        self._write(records)


def labelled(context: Context, rows: Rows) -> str:
    """These rows' contents, targets and groups, in their order, in one digest."""
    named = hashlib.sha256()
    for row in rows:
        example = context.dataset.examples[row]
        named.update(f"{example.digest}|{example.target}|{example.group}\n".encode(errors="surrogatepass"))
    return named.hexdigest()


def _bytes(content: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@cache
def _own_files() -> str:
    return "".join(file_digest(file) for file in sorted(STOCK.parent.rglob("*.py")))
