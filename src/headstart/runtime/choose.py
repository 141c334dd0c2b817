"""Choose the engine by a micro-benchmark on the real module, after checking that the answers agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headstart.errors import SettingError
from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.candidates import (
    Candidate,
    Job,
    Unusable,
    as_remembered,
    run_reference,
    time_openvino,
    time_torch,
)
from headstart.runtime.engine import Batch, Engine
from headstart.runtime.limit import matrix_product_rate, operations
from headstart.runtime.memory import Choice, circumstances, recall, remember
from headstart.runtime.parity import MAX_RELATIVE_ERROR, difference
from headstart.runtime.timing import MAX_SECONDS, time_run

ENGINES = ("auto", "openvino", "torch")
CONVERSION_S = 5.0  # that converting a network takes; what it cannot save that much on is not converted
TRIAL_RUNS = 10  # over the sample, that it takes beside: three ways, warmed up and timed, and answers at another size


def choose_engine(
    module: nn.Module,
    sample: Batch,
    input_names: Sequence[str],
    dynamic_shapes: dict[str, Any],
    say: Callable[[str], None],
    wanted: str = "auto",
    kept: Path | None = None,
    inputs: int | None = None,
) -> Engine:
    """Compile for each engine this machine has, compare with torch, time one batch, keep the fastest.

    wanted: one of ENGINES, or torch in a setting as `same_again` names it: nothing else is timed, nothing remembered.
    inputs: how many are to be computed; where a conversion could not save its own time on them, nothing is converted.
    kept: where a converted network and the choice may be kept between runs, named after its weights.
    A fallback is said through `say` and told in the engine's `why`.
    Raises SettingError for an engine that was asked for by name and cannot be used.
    """
    job = Job(module, sample, tuple(input_names), dynamic_shapes, say, kept)
    name, _, setting = wanted.partition(" ")
    if name == "torch" and setting:
        if (found := _as_set(job, setting)) is not None:
            return _engine(job, *found)
        say(f"Torch cannot run as {setting} here, which was asked for: its fastest setting is taken.")
        wanted = name
    if wanted not in ENGINES:
        raise SettingError(f"engine is {wanted!r}; choose one of {', '.join(ENGINES)}.")
    if kept is None:
        job, reference = _reference(job)
        return _engine(job, *_measure(job, reference, wanted))
    file, holds_for = kept.with_name(f"{kept.name}-{wanted}.json"), circumstances(sample)
    choice = recall(file, holds_for, say)
    chosen = as_remembered(job, choice) if choice else None
    if choice is None or chosen is None:
        job, reference = _reference(job)
        if inputs is not None and (plain := _plain_torch(job, reference, wanted, inputs)):
            return _engine(job, *plain)  # not remembered: more inputs may be worth a conversion
        chosen, choice = _measure(job, reference, wanted)
        remember(file, holds_for, choice)
        return _engine(job, chosen, choice)
    if choice.fallback:
        say(choice.fallback)
    return _engine(job, chosen, replace(choice, why=f"remembered from an earlier run: {choice.why}"), remembered=True)


def _reference(job: Job) -> tuple[Job, Candidate]:
    """Torch's answers to the sample, or to a part of it where already that takes long: what engines are timed on."""
    few = max(2, _examples(job) // 4)  # of two streams each has one
    if few < _examples(job):
        part = replace(job, sample={name: values[:few] for name, values in job.sample.items()})
        reference = run_reference(part)
        if reference.seconds > MAX_SECONDS / 4:
            return part, reference
    return job, run_reference(job)


def same_again(engine: Engine) -> str:
    """What `choose_engine` is asked for to get this engine again: torch with its setting, which rounds its own way."""
    return f"torch {engine.setting}" if engine.name == "torch" else engine.name


def _as_set(job: Job, setting: str) -> tuple[Candidate, Choice] | None:
    """Torch in this setting, however fast another would be; None where this machine lacks it or its answers differ."""
    settings = torch_engine.settings(job.sample)
    if setting not in settings:
        return None
    job, reference = _reference(job)
    run, precision = reference.run, settings[setting]
    if setting != reference.setting:
        run = torch_engine.compile_torch(job.module, job.input_names, setting, precision)
    timed = time_run(run, job.sample)
    error = difference(timed.answers, reference.timed.answers)
    if not error <= MAX_RELATIVE_ERROR:
        return None
    return _alone(job, Candidate("torch", setting, precision, run, timed, error), "asked for")


def _alone(job: Job, chosen: Candidate, why: str) -> tuple[Candidate, Choice]:
    """A choice without a trial of others."""
    rate = _examples(job) / chosen.seconds
    return chosen, Choice(chosen.name, chosen.setting, chosen.precision, {chosen.label: rate}, rate, why, "", "")


def _plain_torch(job: Job, reference: Candidate, wanted: str, inputs: int) -> tuple[Candidate, Choice] | None:
    """Torch, where a conversion would cost more time than it could save on so many inputs; else None.

    As it is, not as it is fastest.
    """
    if wanted == "openvino" or torch_engine.device_name() == "cuda":
        return None
    examples, told = _examples(job), ""
    if inputs * reference.seconds <= 4 * CONVERSION_S * examples:  # a first run may take some times as long
        reference = replace(reference, timed=time_run(reference.run, job.sample))
        seconds = inputs * reference.seconds / examples
        if seconds <= CONVERSION_S:
            told = f"{inputs} inputs take about {seconds:.1f} s on torch: converting the network would take longer"
    if not told and all(value.ndim < 4 for value in job.sample.values()):  # pictures: convolutions have shortcuts
        count, seconds = operations(reference.run, job.sample)
        reference = replace(reference, timed=replace(reference.timed, seconds=min(seconds, reference.seconds)))
        least = count / matrix_product_rate()
        saved = inputs * (reference.seconds - least) / examples
        if saved <= CONVERSION_S + TRIAL_RUNS * reference.seconds:
            told = (
                f"torch runs at {least / reference.seconds:.0%} of the rate of large matrix products here: converting "
                f"the network could save {max(0.0, saved):.0f} s at most, and would take longer"
            )
    if not told:
        return None
    return _alone(job, reference, told if wanted == "auto" else "asked for")


def _measure(job: Job, reference: Candidate, wanted: str) -> tuple[Candidate, Choice]:
    """Time what may be chosen, keep the fastest."""
    notes: list[str] = []
    fallback = ""
    candidates: list[Candidate] = []
    on_gpu = torch_engine.device_name() == "cuda"
    if wanted == "openvino" or (wanted == "auto" and not on_gpu):
        try:
            candidates = time_openvino(job, reference, notes)
        except Unusable as fault:
            if wanted == "openvino":
                raise SettingError(f"engine openvino cannot be used here: {fault}. Use --engine torch.") from fault
            fallback = f"OpenVINO is not used: {fault}. Running on torch, which is slower."
            job.say(fallback)
    if wanted != "openvino":
        candidates += time_torch(job, reference, notes, min((c.seconds for c in candidates), default=float("inf")))
    chosen = min(candidates, key=lambda c: c.seconds)
    rates = {c.label: _examples(job) / c.seconds for c in candidates}
    torch_rate = max((rates[c.label] for c in candidates if c.name == "torch"), default=None)
    asked = "asked for" if wanted != "auto" else "a GPU is present" if on_gpu else fallback.removesuffix(".")
    why = "; ".join(reason for reason in (asked, *_reasons(chosen, candidates, rates), *notes) if reason)
    choice = Choice(chosen.name, chosen.setting, chosen.precision, rates, torch_rate, why, chosen.network, fallback)
    return chosen, choice


def _reasons(chosen: Candidate, candidates: Sequence[Candidate], rates: dict[str, float]) -> list[str]:
    reasons: list[str] = []
    others = [c.seconds for c in candidates if c.name != chosen.name]
    if others:
        other = "torch" if chosen.name == "openvino" else "OpenVINO"
        reasons.append(f"{min(others) / chosen.seconds:.1f} times {other}'s speed")
    if len(candidates) > 1:
        reasons.append("per second " + ", ".join(f"{label} {rate:.3g}" for label, rate in rates.items()))
    if chosen.error:
        reasons.append(f"largest relative difference {chosen.error:.0e}")
    return reasons


def _engine(job: Job, chosen: Candidate, choice: Choice, remembered: bool = False) -> Engine:
    rate = _examples(job) / chosen.seconds
    # torch was not timed again: scale by how fast the machine is now
    torch_rate = rate * choice.torch_rate / choice.rate if choice.torch_rate else float("nan")
    return Engine(
        name=chosen.name,
        version=torch.__version__ if chosen.name == "torch" else openvino_engine.version() or "",
        device=torch_engine.describe_device(),
        run=chosen.run,
        why=choice.why,
        examples_per_second=rate,
        torch_examples_per_second=torch_rate,
        compile_seconds=chosen.convert_seconds + chosen.compile_seconds,
        setting=chosen.setting,
        precision=chosen.precision,
        remembered=remembered,
        lanes=getattr(chosen.run, "lanes", ()),
    )


def _examples(job: Job) -> int:
    return len(next(iter(job.sample.values())))
