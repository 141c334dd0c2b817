"""Evaluate: save the model, score the saved artifact on rows it never saw, and measure what transfer bought."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artifact import (
    Saved,
    golden_rows,
    own_predictions,
    save_model,
)
from headstart.errors import HeadstartError, RunError
from headstart.features import extract, features_of
from headstart.problem import Rows
from headstart.stages.answers import answer
from headstart.stages.context import Context
from headstart.stages.control import measured_control
from headstart.stages.decoding import choose_decoding
from headstart.stages.finetune import Tuned
from headstart.stages.keep import KeptAnswers, labelled
from headstart.stages.replace_head import Replaced
from headstart.stages.select import Selected
from headstart.tasks.task import Scores
from headstart.types import Prediction, Silent


@dataclass
class Evaluated:
    """split: "test" or "cross_validation". scores of the shipped model; evidence as result.json holds it.

    controls_s: seconds of the naive baseline and the control.
    features: (n, D), of the test rows by the saved model; None where the task has no use for them.
    """

    saved: Saved
    split: str
    scores: Scores
    predictions: list[Prediction]
    note: str
    check: str
    temperature: float
    test_exposures: int
    evidence: dict[str, Any] = field(default_factory=dict)
    features: NDArray[np.float32] | None = None
    controls_s: float = 0.0


def evaluate(context: Context, selected: Selected, replaced: Replaced, tuned: Tuned) -> Evaluated:
    """Save, run the saved model by its stock loader, score, compare with baselines.

    Raises RunError where the saved model answers differently from the one that was tuned.
    """
    head, problem, rung = context.task.head, selected.problem, tuned.chosen
    temperature = head.calibrate(problem, rung.outputs, rung.rows)
    output_s = choose_decoding(context, selected, replaced, tuned)
    tuned.kept = None  # the folds' weights are needed no more
    saved = save_model(problem, context.task, tuned.base, tuned.module, temperature, context.run.model)
    context.run.log("saved", layout=saved.layout, bytes=saved.bytes, temperature=temperature)
    golden = golden_rows(context.split.dev)
    # in a random order, so that those answered until time is over stand for all
    mixed = context.rng(9).permutation(context.split.test)
    answers = answer(context, selected, saved, golden, mixed)
    order = _scored(context, mixed, len(answers.test))
    check = _check_golden(context, selected, tuned, golden, answers.golden, temperature)
    groups = problem.groups
    if len(context.split.test):
        split, rows, predictions = "test", context.split.test, [answers.test[i] for i in order]
        note = (
            f"computed from the saved model, loaded by {problem.backbone.source.library} in a process without headstart"
            + ("; an earlier run saved the same files, and these answers are its" if answers.kept else "")
        )
    else:
        split, rows = "cross_validation", np.asarray(rung.rows)
        predictions = own_predictions(problem, context.task, rung.outputs, rows, temperature)
        note = (
            f"{context.split.n_folds}-fold cross-validation; the head is chosen anew in each fold, the depth was "
            "chosen on the same folds; the shipped model is trained on all rows"
        )
    scores = context.task.score(predictions, groups[rows], context.rng(4))
    found = Evaluated(saved, split, scores, predictions, note, check, temperature, int(split == "test"))
    found.features = None if answers.features is None else answers.features[order]
    found.evidence = _evidence(context, selected, tuned, found, rows, output_s)
    return found


def _scored(context: Context, mixed: Rows, answered: int) -> NDArray[np.int64]:
    """Keep the test rows that were answered, the first of `mixed`; returns where each of them stands there."""
    rows = len(mixed)
    if answered < rows:
        told = f"{answered} of {rows} test rows are scored: answers took longer than expected, and time was over"
        context.warnings.append(f"{told}. Give more time with --budget to score them all.")
        context.reporter.say(told)
        kept = np.isin(context.split.test, mixed[:answered])
        context.split = replace(context.split, test=context.split.test[kept])
    sorter = np.argsort(mixed[:answered])
    return sorter[np.searchsorted(mixed[:answered], context.split.test, sorter=sorter)]


def _check_golden(
    context: Context,
    selected: Selected,
    tuned: Tuned,
    golden: Rows,
    stock: list[Prediction],
    temperature: float,
) -> str:
    """Compare the saved model's answers with the tuned module's on a few development rows."""
    head, problem = context.task.head, selected.problem
    features, examples, views = problem.features, context.dataset.examples, problem.backbone.views[:1]
    extract(selected.exact_extractor, [examples[r] for r in golden], views, Silent())
    if selected.exact is not None:  # the saved model runs in float32
        problem.features = features_of(selected.exact, examples, views)
    if tuned.module is not None:
        outputs = head.outputs(problem, tuned.module, golden, Silent())
    else:
        outputs = head.base_outputs(problem, tuned.base, golden, Silent())
    problem.features = features
    ours = own_predictions(problem, context.task, outputs, golden, temperature)
    found = head.differences(stock, ours)
    context.run.log("golden", rows=len(golden), largest_difference=found.largest)
    if found.largest > found.limit:
        raise RunError(
            f"The saved model in {context.run.model} answers differently from the tuned one ({found.sentence}). "
            "Do not use it, and report this fault."
        )
    if found.largest > found.noted:
        context.warnings.append(f"After saving, {found.sentence}.")
    return found.sentence


def _evidence(
    context: Context, selected: Selected, tuned: Tuned, found: Evaluated, rows: Rows, output_s: float
) -> dict[str, Any]:
    """Naive baseline and control, each with the paired gain of ours over it."""
    evidence: dict[str, Any] = {"naive": None, "control": None, "verdict": None, "sentence": ""}
    train, test = (context.split.dev, rows) if found.split == "test" else _first_fold(context)
    begin = context.clock.spent()
    try:
        evidence["naive"] = _naive(context, found, rows, selected.problem.groups[rows])
        evidence["control"] = measured_control(
            context, selected, tuned, (found.predictions, found.scores), train, test, output_s
        )
    except KeyboardInterrupt:
        context.warnings.append("Interrupted during the controls; they are incomplete.")
    except HeadstartError as error:
        context.warnings.append(f"A control could not be run: {error}")
    found.controls_s = context.clock.spent() - begin
    _verdict(context, evidence, tuned.why)
    if context.task.reading is not None:
        meant = context.task.reading(found.scores.metrics[context.task.headline].value)
        evidence["sentence"] = " ".join(filter(None, (evidence["sentence"], meant)))
    return evidence


def _first_fold(context: Context) -> tuple[Rows, Rows]:
    split = context.split
    return split.dev[split.folds != 0], split.dev[split.folds == 0]


def _naive(context: Context, found: Evaluated, rows: Rows, groups: NDArray[np.int64]) -> dict[str, Any] | None:
    task, examples, split = context.task, context.dataset.examples, context.split
    if task.naive is None:
        return None
    folds = (
        [(split.dev, rows)]
        if found.split == "test"
        else [(split.dev[split.folds != f], split.dev[split.folds == f]) for f in range(split.n_folds)]
    )
    predictions: dict[str, Prediction] = {}
    for train, test in folds:
        learnt, tested = [examples[r] for r in train], [examples[r] for r in test]
        named = [task.name, task.naive_name, str(context.settings.seed), *context.dataset.classes]
        before = KeptAnswers(context, [*named, labelled(context, train)], "naive baseline")
        if before.holds(tested):
            made = before.answers(tested)
        else:
            made = task.naive(learnt, tested, context.dataset.classes, context.settings.seed)
            before.keep(tested, [p.to_json() for p in made])
        predictions |= {str(r): p for r, p in zip(test, made)}
    ordered = [predictions[str(r)] for r in rows]
    scores = task.score(ordered, groups, context.rng(5))
    return {
        "name": task.naive_name,
        "metrics": scores.to_json(),
        "gain": context.task.gain(found.scores, scores, groups, context.rng(7)).to_json(),
    }


def _verdict(context: Context, evidence: dict[str, Any], why: str) -> None:
    """helped, no difference or hurt, by the control where there is one, else by the naive baseline.

    why: the depth that ships was chosen.
    """
    compared = evidence["control"] or evidence["naive"]
    if compared is None:
        return
    value, low, high = (100 * compared["gain"][k] for k in ("value", "low", "high"))
    against = compared["name"] if compared is evidence["control"] else evidence["naive"]["name"]
    unit = context.task.headline_unit
    if compared.get("shipped"):
        evidence["verdict"] = "no difference"
        evidence["sentence"] = f"The {compared['name']} ships: {why}."
        return
    verdict = "helped" if low > 0 else "hurt" if high < 0 else "no difference"
    words = {"helped": "Transfer helped", "hurt": "Transfer hurt", "no difference": "No clear difference"}[verdict]
    labels = f" at {compared['labels']} labels" if compared.get("labels") else ""
    gained = f"{value:+.1f} {unit} over the {against.removeprefix('the ')}{labels}"
    sentence = f"{words}: {gained} (95% interval {low:+.1f} to {high:+.1f})."
    naive = evidence["naive"]
    if naive and naive is not compared and not naive["gain"]["low"] > 0:
        than = "does better" if naive["gain"]["high"] < 0 else "is about as good"
        sentence += (
            f" But the naive baseline ({naive['name']}) {than} on this data: consider it, or a larger model or budget."
        )
        verdict = "hurt" if naive["gain"]["high"] < 0 else "no difference"
    evidence["verdict"], evidence["sentence"] = verdict, sentence
