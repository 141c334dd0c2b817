"""What the saved model answers, run by its stock loader; what these very files have answered before is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.artifact import Saved
from headstart.problem import Rows
from headstart.sources.digest import file_digest
from headstart.stages.context import Context
from headstart.stages.keep import KeptAnswers
from headstart.stages.select import Selected
from headstart.stages.subset import MIN_SCORED
from headstart.stock_process import StockProcess
from headstart.types import Prediction

CLOSING_S = 8.0  # of the time left, for what must follow the saved model's answers


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


def answer(context: Context, selected: Selected, saved: Saved, golden: Rows, test: Rows) -> Answers:
    """Ask the saved model, in a process without headstart.

    The golden rows are always asked. Test rows are not where files of the same content, run by the same versions of the
    same libraries, have answered all of them before.
    """
    process = _stock_process(context, saved)
    examples = [context.dataset.examples[r] for r in test]
    wanted = context.task.uncertainty is not None
    before = KeptAnswers(context, [saved.script, *_content(saved)], saved.script.removesuffix(".py"))
    kept = before.holds(examples)
    asked = [context.dataset.examples[r] for r in golden] + ([] if kept else examples)
    fewest = len(golden) + min(MIN_SCORED, len(examples))
    stock = process.predict(
        saved.folder, asked, context.reporter, wanted, lambda n: n >= fewest and context.clock.left() < CLOSING_S
    )
    context.run.log("answered", asked=len(stock), kept=len(examples) if kept else 0, answer_seconds=process.seconds)
    if not context.answer_s:
        passes, extractor = context.passes_per_test, selected.exact_extractor
        if process.rate is not None:
            extractor.note_stock_rate(passes * process.rate)
        elif (least := passes * len(stock) / process.seconds) > extractor.stock_rate:  # loading the model included
            extractor.note_stock_rate(least)
    if kept:
        features = before.features(examples) if wanted else None
        return Answers(stock, before.answers(examples), features, kept=True)
    features = None if process.features is None else process.features[len(golden) :]
    before.keep(examples, process.rows[len(golden) :], features)
    return Answers(stock[: len(golden)], stock[len(golden) :], features, kept=False)


def _stock_process(context: Context, saved: Saved) -> StockProcess:
    """The one that was started ahead, if it is of this kind."""
    if context.stock is None or context.stock.script != saved.script:
        context.close()
        context.stock = StockProcess(saved.script)
    return context.stock


def _content(saved: Saved) -> list[str]:
    files = sorted(path for path in saved.folder.rglob("*") if path.is_file())
    return [f"{path.relative_to(saved.folder).as_posix()} {file_digest(path)}" for path in files]
