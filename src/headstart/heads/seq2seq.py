"""The head of tasks whose targets are texts, for encoder-decoders: the checkpoint's own decoder, untouched or tuned."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import SCRATCH, Depth
from headstart.heads.head import (
    PLAIN,
    Aim,
    BaseFit,
    CandidateScore,
    Decoding,
    DecodingLimits,
    Difference,
    Outputs,
    Tunable,
    tuned_weights,
)
from headstart.metrics.speech import row_errors
from headstart.problem import Problem, Rows, spread_evenly
from headstart.types import Example, Prediction, Reporter

GENERATE_BATCH = 16
LOSS_ROWS = 64  # at most, of which a development loss is the mean
BEAM_ROWS = 96  # held-out rows at most that both are tried on
MIN_BEAM_ROWS = 16


class Generator(Protocol):
    """What a backbone that answers with texts adds to the common contract.

    search: how many continuations generate(), and the saved model, follow (1 is greedy), and the power of their length
    that log-probabilities are divided by. searches: whether it can follow several. answers_untouched: whether it can
    write before any tuning; a new layer cannot.
    """

    search: tuple[int, float]
    answers_untouched: bool
    searches: bool
    reads_targets: bool
    base_cut: str | None

    def expect(self, targets: Sequence[str]) -> None:
        """Told of the development targets before anything else: how long answers get, how they are spelt."""

    def loss(self, network: nn.Module, inputs: Sequence[torch.Tensor], examples: Sequence[Example],
             label_smoothing: float) -> torch.Tensor:  # fmt: skip
        """Mean loss of these examples' targets, where the network is given their states or inputs."""

    def prompts(self, examples: Sequence[Example]) -> tuple[torch.Tensor, ...]:
        """What generate() starts from where targets are read, and states would give them away."""

    def generate(self, inputs: Sequence[torch.Tensor], network: nn.Module | None = None) -> list[str]:
        """Texts from states of the base cut or prompts, or from a network's own inputs."""


class _Writer(Tunable):
    """A network behind a cut, whose answers are texts. head: its new layer, if it has one, under the name that the
    training gives a rate of its own.
    """

    def __init__(self, cut: str | None, network: nn.Module) -> None:
        super().__init__(cut)
        head = getattr(network, "head", None)
        self.head: nn.Module | None = head if isinstance(head, nn.Module) else None
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.network(*inputs)


@dataclass
class _Trial:
    """Beams with one weight of the length, and what they gave for the first of the rows. row_s: seconds of a row."""

    beams: int
    penalty: float
    texts: list[str] = field(default_factory=list)
    row_s: float = 0.0
    errors: float = np.inf


Base = dict[str, torch.Tensor] | None  # a new layer's weights, as the rung before has left them
RowLoss = Callable[[str, str], tuple[float, float]]


@dataclass(frozen=True)
class Seq2SeqHead:
    """Teacher forcing for training; greedy answers decide on depth, beams are chosen at the end.

    row_loss: (target, text) -> numerator and denominator of the decision metric, lower is better. beams: that are tried
    instead of one, fewer where time is short. penalties: powers of the length beside 1 that are tried with them.
    """

    decision_metric: str = "wer"
    row_loss: RowLoss = row_errors
    beams: int = 5  # as transformers' pipeline takes where a recogniser's checkpoint leaves it open
    penalties: tuple[float, ...] = ()

    def prepare(self, problem: Problem, rows: Rows) -> None:
        cast(Generator, problem.backbone).expect(problem.targets(rows))

    def candidate_score(self, problem: Problem, rows: Rows, reporter: Reporter) -> CandidateScore:
        """The decision metric of the untouched model."""
        outputs = self.base_outputs(problem, None, rows, reporter)
        return CandidateScore(*self.row_scores(problem, outputs, rows), [])

    def fit_base(self, problem: Problem, rows: Rows, folds: NDArray[np.int64] | None = None) -> BaseFit:
        """Nothing to fit: the vocabulary is the checkpoint's."""
        del problem, rows
        return BaseFit(None, [], [None] * (0 if folds is None else len(np.unique(folds))))

    def refit_base(self, problem: Problem, rows: Rows, like: Base) -> None:
        del problem, rows, like

    def refit_tuned(self, problem: Problem, base: Base, module: Tunable, rows: Rows) -> Base:
        del problem, module, rows
        return base

    def carried(self, base: Base, module: Tunable) -> Base:
        """The new layer's weights, where there is one; what was pretrained starts as it came."""
        assert isinstance(module, _Writer)
        return base if module.head is None else {name: p.detach().clone() for name, p in module.head.named_parameters()}

    def random_base(self, problem: Problem) -> None:
        """The decoder is part of the network."""
        del problem

    def describe_base(self, base: Base) -> str:
        del base
        return "untouched model"

    def base_outputs(self, problem: Problem, base: Base, rows: Rows, reporter: Reporter) -> Outputs:
        del base
        beams, penalty = cast(Generator, problem.backbone).search
        known: dict[int, str] = problem.memo.setdefault(f"untouched, {beams} beams, length to {penalty:g}", {})
        missing = np.array([r for r in rows if int(r) not in known], dtype=np.int64)
        if len(missing):
            known.update(zip(missing.tolist(), self._generate(problem, None, missing, reporter, "Untouched model")))
        return np.array([known[int(r)] for r in rows], dtype=object)

    def build(self, problem: Problem, base: Base, depth: Depth) -> Tunable:
        network = problem.backbone.live() if depth == SCRATCH else problem.backbone.suffix(depth.cut)
        writer = _Writer(depth.cut, network)
        if base is not None and writer.head is not None:
            writer.head.load_state_dict(base)
        return writer

    def step_loss(
        self, problem: Problem, module: Tunable, rows: Rows, rng: np.random.Generator, aim: Aim = PLAIN
    ) -> torch.Tensor:
        del rng
        examples = [problem.dataset.examples[r] for r in rows]
        return cast(Generator, problem.backbone).loss(
            module, problem.inputs(rows, module.cut), examples, aim.label_smoothing
        )

    def dev_loss(self, problem: Problem, module: Tunable, rows: Rows) -> float:
        """Mean over some of the rows, in batches of similar length so that little is padded.

        It compares states of one training on the same rows, for which tens of texts, some tokens each, tell enough.
        """
        module.eval()
        rows = spread_evenly(rows, LOSS_ROWS)
        rng, total = np.random.default_rng(0), 0.0
        ordered = rows[np.argsort(problem.features.lengths(rows), kind="stable")]
        with torch.inference_mode():
            for start in range(0, len(rows), GENERATE_BATCH):
                part = ordered[start : start + GENERATE_BATCH]
                total += len(part) * float(self.step_loss(problem, module, part, rng))
        return total / len(rows)

    def agreement(self, problem: Problem, base: Base, module: Tunable, rows: Rows) -> None:
        del problem, base, module, rows

    def outputs(self, problem: Problem, module: Tunable, rows: Rows, reporter: Reporter) -> Outputs:
        return np.array(self._generate(problem, module, rows, reporter, "Tuned model"), dtype=object)

    def _generate(
        self, problem: Problem, module: Tunable | None, rows: Rows, reporter: Reporter, what: str
    ) -> list[str]:
        """Texts for these rows, batched by target length: a batch decodes until its longest text ends. Prompts are
        batched by their own length, which takes more of the time.
        """
        backbone = cast(Generator, problem.backbone)
        examples = [problem.dataset.examples[r] for r in rows]
        prompted = backbone.reads_targets
        order = np.argsort([len(e.input if prompted else e.target or "") for e in examples], kind="stable")
        network = module.network if isinstance(module, _Writer) else None
        texts = [""] * len(rows)
        starts = range(0, len(rows), GENERATE_BATCH)
        for start in reporter.track(starts, f"{what}: decoding", len(starts)):
            part = order[start : start + GENERATE_BATCH]
            if prompted:
                inputs = backbone.prompts([examples[p] for p in part])
            else:  # the untouched model decodes from cached states as well
                inputs = problem.inputs(rows[part], module.cut if module is not None else backbone.base_cut)
            for position, text in zip(part, backbone.generate(inputs, network)):
                texts[position] = text
        return texts

    def choose_decoding(
        self,
        problem: Problem,
        module: Tunable | None,
        outputs: Outputs,
        rows: Rows,
        weights: NDArray[np.float64],
        limits: DecodingLimits,
        planned: tuple[int, float] | None,
        reporter: Reporter,
    ) -> Decoding:
        """Beams where they make fewer errors than one on these held-out rows and their time can be afforded; with them
        the weight of a text's length that makes the fewest.

        module: the network of the greedy `outputs` of these rows, None for the untouched one. weights: how many rows
        each of these stands for. planned: the choice of an earlier run, taken over.
        """
        backbone = cast(Generator, problem.backbone)
        if planned or not backbone.searches:
            backbone.search = planned or (1, 1.0)
            return Decoding(*backbone.search)
        begin, spread = time.perf_counter(), spread_evenly(rows, BEAM_ROWS)
        trials = [_Trial(min(self.beams, limits.beams), penalty) for penalty in (1.0, *self.penalties)]
        first, enough = trials[0], begin + limits.trial_s
        for number, trial in enumerate(trials, 1):
            trial.beams, trial.row_s = first.beams, first.row_s
            used = spread[: len(first.texts) or len(spread)]
            until = begin + limits.trial_s * number / len(trials)
            while not (fits := self._tried(problem, module, trial, used, until, limits.row_s, reporter)):
                if trial.beams <= 2:
                    break
                fewer = max(2, min(trial.beams - 1, int(trial.beams * limits.row_s / trial.row_s)))
                trial.beams, trial.row_s, until = fewer, trial.row_s * fewer / trial.beams, enough
            if not fits or not first.texts:
                break
        if not first.texts:
            backbone.search = 1, 1.0
            return Decoding(*backbone.search)
        greedy = dict(zip(rows.tolist(), zip(outputs, weights)))
        overrun_s = max(0.0, time.perf_counter() - enough)
        return self._best(problem, greedy, spread, trials, limits.row_s - overrun_s / limits.rows)

    def _tried(self, problem: Problem, module: Tunable | None, trial: _Trial, rows: Rows, until: float, row_s: float,
               reporter: Reporter) -> bool:  # fmt: skip
        """Answers to as many of the rows as there is time for; false where one takes longer than row_s."""
        cast(Generator, problem.backbone).search = trial.beams, trial.penalty
        begin, trial.texts = time.perf_counter(), []
        for start in range(0, len(rows), GENERATE_BATCH):
            part = rows[start : start + GENERATE_BATCH]
            if time.perf_counter() + trial.row_s * len(part) > until:  # what a row took so far, for this batch too
                break
            trial.texts += self._generate(problem, module, part, reporter, f"{trial.beams} beams")
            trial.row_s = (time.perf_counter() - begin) / len(trial.texts)
            if trial.row_s > row_s:
                return False
        return True

    def _best(
        self,
        problem: Problem,
        greedy: dict[int, tuple[str, float]],
        spread: Rows,
        trials: list[_Trial],
        row_s: float,
    ) -> Decoding:
        """What made the fewest errors on the rows that all were tried on; a trial that was cut short or takes longer
        than row_s is left out.

        greedy: each row's text and weight.
        """
        backbone = cast(Generator, problem.backbone)
        used = spread[: len(trials[0].texts)]

        def errors(texts: Sequence[str]) -> float:
            return float(self.row_scores(problem, np.array(texts, dtype=object), used)[0] @ counted)

        counted = np.array([greedy[int(r)][1] for r in used])
        one = errors([greedy[int(r)][0] for r in used])
        for trial in trials:
            counts = len(trial.texts) == len(used) and trial.row_s <= row_s
            trial.errors = errors(trial.texts) if counts else np.inf
        best = min(trials, key=lambda trial: trial.errors)
        better = len(used) >= MIN_BEAM_ROWS and best.errors < one
        backbone.search = (best.beams, best.penalty) if better else (1, 1.0)
        tried = {f"{t.penalty:g}": t.errors for t in trials if np.isfinite(t.errors)}
        facts = {"rows": len(used), "beams_tried": best.beams, "errors_greedy": one, "errors_beams": tried,
                 "seconds_per_row": best.row_s, "seconds_allowed": row_s}  # fmt: skip
        return Decoding(*backbone.search, best.row_s if better else None, facts)

    def calibrate(self, problem: Problem, outputs: Outputs, rows: Rows) -> float:
        del problem, outputs, rows
        return 1.0

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        del temperature
        return outputs

    def differences(self, stock: Sequence[Prediction], ours: Sequence[Prediction]) -> Difference:
        share = float(np.mean([a.text != b.text for a, b in zip(stock, ours)]))
        equal = round((1 - share) * len(ours))
        # a near tie between two tokens may fall otherwise in another engine; half of the rows is no tie
        return Difference(share, 0.5, 0.5, f"{equal} of {len(ours)} texts are equal after saving and loading")

    def row_scores(self, problem: Problem, outputs: Outputs, rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
        pairs = [self.row_loss(target, text) for target, text in zip(problem.targets(rows), outputs)]
        errors, words = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return errors, words

    def draws(self, problem: Problem, outputs: Outputs, rows: Rows) -> None:
        del problem, outputs, rows

    def predictions(self, problem: Problem, outputs: Outputs, rows: Rows) -> list[Prediction]:
        examples = [problem.dataset.examples[r] for r in rows]
        return [Prediction(e.id, e.target, text=str(text)) for e, text in zip(examples, outputs)]

    def save(
        self,
        problem: Problem,
        base: Base,
        module: Tunable | None,
        temperature: float,
        folder: Path,
        classes: Sequence[str],
    ) -> str:
        del base, temperature
        tuned = tuned_weights(module, "network") if module is not None else {}
        return problem.backbone.save(folder, tuned, None, classes)
