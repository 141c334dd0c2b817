"""Prove what transfer bought: train the same network from random weights to the end, compare on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from headstart import sources
from headstart.backbones.backbone import Chunked, Windowed
from headstart.backbones.load import load_backbone
from headstart.budget import Clock
from headstart.comparison import read_scored
from headstart.data.split import group_indices, label_indices
from headstart.errors import RunError
from headstart.features import Features
from headstart.heads.seq2seq import Generator
from headstart.problem import Problem, Rows
from headstart.report import write_report
from headstart.run_dir import RunDir
from headstart.stages.answers import CLOSING_S
from headstart.stages.converge import Converged, converge
from headstart.stages.from_random import FromRandom, from_random
from headstart.stages.multiplier import label_multiplier
from headstart.stages.reopen import Reopened, reopen
from headstart.stock import products
from headstart.thumbnails import thumbnails_of
from headstart.types import Prediction, Reporter


def run_prove(run: Path, reporter: Reporter, clock: Clock, data: str | None = None) -> dict[str, Any]:
    """Train from random weights, score on the rows that the run was scored on (of texts, on as many as fit), and add
    `proof` to its result.json and report.

    data: where the run's data lie now; where they lay, if left out.
    Raises RunError for a folder that is no finished run or where the time does not suffice, DataError where the data
    are not those of the run.
    """
    with clock.stage("read and check"):
        reopened = reopen(run, data, reporter)
        reopened.require_unchanged()
        problem = _problem(reopened, reporter, clock)
    products.settle(reopened.plan.products)
    learnt, tested, transfer = _rows(reopened)
    random = from_random(reopened.task, problem)
    if random.writes and reopened.plan.decoding:  # as the run's model does
        cast(Generator, random.problem.backbone).search = reopened.plan.decoding, reopened.plan.length_penalty
    with clock.stage("train from random weights"):
        found = converge(random, learnt, clock, reporter)
    if isinstance(found, str):
        raise RunError(f"Nothing could be trained from random weights: {found}. Give more time with --budget.")
    with clock.stage("score"):
        proof = _compared(reopened, random, found, len(learnt), tested, transfer, clock)
    if reopened.task.label_curve is not None:
        with clock.stage("label multiplier"):
            proof["multiplier"] = _multiplier(
                reopened, random.at(found.rate), found, learnt, tested, transfer, clock, reporter
            )
    proof |= {"seconds": clock.spent(), "budget_seconds": clock.budget_seconds}
    _write(reopened, proof)
    return proof


def _problem(reopened: Reopened, reporter: Reporter, clock: Clock) -> Problem:
    """The run's network and rows; nothing is cached."""
    with clock.downloading():
        source = sources.resolve(reopened.result["model"]["id"], reopened.settings.offline, reporter)
    reporter.say(f"Loading {source.id}, for its architecture")
    dataset = reopened.dataset
    backbone = load_backbone(source, reopened.task.target_kind, dataset)
    if isinstance(backbone, Windowed):
        backbone = backbone.reading_on(reopened.plan.windows or 1)
    if isinstance(backbone, Chunked) and reopened.plan.chunk_length:
        backbone = backbone.hearing(reopened.plan.chunk_length)
    views = tuple(v for v in reopened.plan.views or () if v in backbone.views) or backbone.views[:1]
    features = Features(dataset.examples, None, views)
    seed = reopened.settings.seed
    problem = Problem(dataset, backbone, features, label_indices(dataset), group_indices(dataset), seed)
    reopened.task.head.prepare(problem, reopened.split.dev)
    return problem


def _rows(reopened: Reopened) -> tuple[Rows, Rows, list[Prediction]]:
    """Rows to learn from, rows to score on, and transfer's predictions for these.

    Without test rows the first fold is scored, of which transfer has out-of-fold predictions.
    """
    split, examples = reopened.split, reopened.dataset.examples
    made = {p.id: p for p in read_scored(reopened.run, reopened.result).predictions.values()}
    learnt, wanted = (
        (split.dev, split.test) if len(split.test) else (split.dev[split.folds != 0], split.dev[split.folds == 0])
    )
    tested = np.array([row for row in wanted if examples[row].id in made], dtype=np.int64)
    if not len(tested):
        raise RunError(f"{reopened.run}/predictions.jsonl holds none of the run's scored rows. Run the fit again.")
    return learnt, tested, [made[examples[row].id] for row in tested]


def _compared(
    reopened: Reopened,
    random: FromRandom,
    found: Converged,
    labels: int,
    tested: Rows,
    transfer: Sequence[Prediction],
    clock: Clock,
) -> dict[str, Any]:
    """Both on the tested rows, or on those of them that there was time to answer."""
    task, problem, head = reopened.task, random.problem, reopened.task.head
    outputs, answered = random.answers(found.module, tested, lambda: clock.left() - CLOSING_S)
    outputs, rows = head.tempered(outputs, found.temperature), tested[answered]
    groups = problem.groups[rows]
    scratch = task.score(head.predictions(problem, outputs, rows), groups, np.random.default_rng(0))
    ours = task.score([transfer[i] for i in answered], groups, np.random.default_rng(0))
    gain = task.gain(ours, scratch, groups, np.random.default_rng(7))
    content = {
        "metric": task.headline,
        "labels": labels,
        "scratch_labels": found.labels,
        "rows": len(rows),
        "of_rows": len(tested),
        "scores": {"scratch": scratch.to_json(), "transfer": ours.to_json()},
        "gain": gain.to_json(),
        "epochs": found.epochs,
        "rate": found.rate,
        "has_learnt": found.has_learnt,
        "converged": found.is_converged,
        "rounds": found.rounds,
        "points": found.points,
        "transfer": [
            {
                "name": "whole run",
                "seconds": reopened.result["seconds"],
                "value": ours.metrics[task.headline].value,
            }
        ],
        "transfer_seconds": reopened.result["seconds"],
    }
    return content | {"sentence": _sentence(reopened, content)}


def _sentence(reopened: Reopened, content: dict[str, Any]) -> str:
    gain, metric = content["gain"], content["metric"]
    ours, theirs = (100 * content["scores"][who][metric]["value"] for who in ("transfer", "scratch"))
    spent = sum(r["seconds"] for r in content["rounds"])
    scored = f"{content['rows']:,} rows"
    if content["rows"] < content["of_rows"]:
        scored = f"{content['rows']:,} of {content['of_rows']:,} rows"
    if not content["has_learnt"]:
        most = max(r["epochs"] for r in content["rounds"])
        epochs = f"{most} epoch{'s' if most != 1 else ''}"
        return (
            f"From random weights the same network learnt nothing from {content['scratch_labels']:,} labels in "
            f"{spent:.0f} s, up to {epochs} ({theirs:.1f}% on {scored}): there is nothing to "
            f"compare with. The whole run with transfer took {content['transfer_seconds']:.0f} s: {ours:.1f}%."
        )
    ahead = "Transfer helped" if content["converged"] else "Transfer is ahead so far"
    verdict = ahead if gain["low"] > 0 else "Transfer hurt" if gain["high"] < 0 else "No clear difference"
    part = f"{content['scratch_labels']:,} of " if content["scratch_labels"] < content["labels"] else ""
    how = "until more epochs did not help" if content["converged"] else "as long as the time allowed, not to the end"
    unit = reopened.task.headline_unit
    return (
        f"{verdict}: {100 * gain['value']:+.1f} {unit} over the same network trained from random weights on {part}the "
        f"same {content['labels']:,} labels (95% interval {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}; "
        f"{ours:.1f}% against {theirs:.1f}% on {scored}). It was trained {how}: {spent:.0f} s, "
        "where the whole run with transfer took "
        f"{content['transfer_seconds']:.0f} s."
    )


def _multiplier(
    reopened: Reopened,
    random: FromRandom,
    found: Converged,
    learnt: Rows,
    tested: Rows,
    transfer: Sequence[Prediction],
    clock: Clock,
    reporter: Reporter,
) -> dict[str, Any]:
    wrong = np.array([float(p.label != p.target) for p in transfer])
    measured = label_multiplier(random, learnt, tested, wrong, found.epochs, clock, reporter)
    if isinstance(measured, str):
        return {"skipped": measured, "sentence": f"How many labels transfer is worth was not measured: {measured}."}
    return measured.to_json()


def _write(reopened: Reopened, proof: dict[str, Any]) -> None:
    """Into result.json, with one more time that its test rows were scored, and the report anew."""
    result = {**reopened.result, "proof": proof}
    if len(reopened.split.test):
        result["test_exposures"] = int(result.get("test_exposures") or 0) + 1
    run = RunDir(reopened.run)
    write_report(result, reopened.run / "report.html", thumbnails_of(result, reopened.dataset))
    run.write_json("result.json", result)
    run.log("proof", **proof)
