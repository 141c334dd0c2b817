"""What the saved model answers, run by its stock loader; what these very files have answered before is kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artifact import Saved
from headstart.errors import MachineError
from headstart.feature_store import FeatureStore, stack
from headstart.problem import Rows
from headstart.sources.digest import file_digest
from headstart.stages.context import Context
from headstart.stages.subset import MIN_SCORED
from headstart.stock_process import STOCK, StockProcess, prediction_of
from headstart.types import Example, Prediction

CLOSING_S = 8.0  # of the time left, for what must follow the saved model's answers
ANSWERED_BY = ("torch", "torchvision", "timm", "transformers", "tokenizers", "numpy", "pillow", "soundfile", "scipy")
ANSWER, FEATURES = "answer", "features"


@dataclass(frozen=True)
class Answers:
    """golden: of the golden rows. test: of the first of the test rows, as many as there was time for.

    features: (len(test), D); None where the task has no use for them. kept: whether those of the test rows are of an
    earlier run.
    """

    golden: list[Prediction]
    test: list[Prediction]
    features: NDArray[np.float32] | None
    kept: bool


def answer(context: Context, saved: Saved, golden: Rows, test: Rows) -> Answers:
    """Ask the saved model, in a process without headstart.

    The golden rows are always asked. Test rows are not where files of the same content, run by the same versions of the
    same libraries, have answered all of them before.
    """
    process = _stock_process(context, saved)
    examples = [context.dataset.examples[r] for r in test]
    wanted = context.task.uncertainty is not None
    store = _store(context, saved) if examples else None
    kept = store is not None and not store.verify([e.digest for e in examples])
    asked = [context.dataset.examples[r] for r in golden] + ([] if kept else examples)
    fewest = len(golden) + min(MIN_SCORED, len(examples))
    stock = process.predict(
        saved.folder, asked, context.reporter, wanted, lambda n: n >= fewest and context.clock.left() < CLOSING_S
    )
    context.run.log("answers", asked=len(stock), kept=len(examples) if kept else 0)
    if store is not None and kept:
        features = stack(store, [e.digest for e in examples], FEATURES) if wanted else None
        return Answers(stock, _kept(store, examples), features, kept=True)
    features = None if process.features is None else process.features[len(golden) :]
    if store is not None:
        _keep(store, examples, process.rows[len(golden) :], features)
    return Answers(stock[: len(golden)], stock[len(golden) :], features, kept=False)


def _stock_process(context: Context, saved: Saved) -> StockProcess:
    """The one that was started ahead, if it is of this kind."""
    if context.stock is None or context.stock.script != saved.script:
        context.close()
        context.stock = StockProcess(saved.script)
    return context.stock


def _store(context: Context, saved: Saved) -> FeatureStore | None:
    """Where answers of these very files are kept; None where no folder can be made for them."""
    files = {p.relative_to(saved.folder).as_posix(): p for p in saved.folder.rglob("*") if p.is_file()}
    files |= {f"stock/{p.name}": p for p in STOCK.glob("*.py")}
    named = [f"{name} {file_digest(files[name])}" for name in sorted(files)]
    named += [saved.script, sys.version, *(f"{name} {_version(name)}" for name in ANSWERED_BY)]
    key = hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]
    script = saved.script.removesuffix(".py")
    about = {"model": context.run.path.name, "cut": "answers", "engine": script, "view": "plain"}
    try:
        return FeatureStore(context.cache_dir / "features" / key, context.reporter.say, about)
    except MachineError:
        return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _kept(store: FeatureStore, examples: Sequence[Example]) -> list[Prediction]:
    texts = (store.read(e.digest, ANSWER).astype(np.uint8).tobytes() for e in examples)
    return [prediction_of(e.id, e.target, json.loads(text)) for e, text in zip(examples, texts)]


def _keep(
    store: FeatureStore,
    examples: Sequence[Example],
    rows: Sequence[dict[str, Any]],
    features: NDArray[np.float32] | None,
) -> None:
    """Write the answers, as the bytes of their JSON. A disk that takes no more costs the same answers next time."""
    records = {}
    for i, (example, row) in enumerate(zip(examples, rows)):
        records[example.digest] = {ANSWER: np.frombuffer(json.dumps(row).encode(), dtype=np.uint8)}
        if features is not None:
            records[example.digest][FEATURES] = features[i]
    with contextlib.suppress(MachineError):
        store.write(records)
