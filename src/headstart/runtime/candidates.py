"""What may run the module: each way that gives the reference's answers, timed on the sample."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.engine import Batch, Run
from headstart.runtime.memory import Choice
from headstart.runtime.parity import MAX_RELATIVE_ERROR, difference, resized
from headstart.runtime.timing import MAX_SECONDS, Timed, time_run

MAX_COMPILE_SECONDS = 5.0  # a network that compiles longer is compiled in one way only


@dataclass(frozen=True)
class Job:
    """The frozen module, a real batch, and what is known of its inputs. kept: where a converted network may lie."""

    module: nn.Module
    sample: Batch
    input_names: tuple[str, ...]
    dynamic_shapes: dict[str, Any]
    say: Callable[[str], None]
    kept: Path | None


@dataclass(frozen=True)
class Candidate:
    """One way to run. timed: one run over the sample. error: against the reference, relative. network: its digest."""

    name: str
    setting: str
    precision: str
    run: Run
    timed: Timed
    error: float = 0.0
    convert_seconds: float = 0.0
    compile_seconds: float = 0.0
    network: str = ""

    @property
    def label(self) -> str:
        """Engine and setting."""
        return f"{self.name} {self.setting}"

    @property
    def seconds(self) -> float:
        """Of one run over the sample."""
        return self.timed.seconds


class Unusable(Exception):
    """Why an engine cannot be used here."""


def run_reference(job: Job) -> Candidate:
    """Torch as it is, in float32: what every other way is compared with. Run once, without warming up."""
    run = torch_engine.compile_torch(job.module, job.input_names)
    begin = time.perf_counter()
    answers = run(job.sample)
    return Candidate("torch", torch_engine.REFERENCE, "f32", run, Timed(time.perf_counter() - begin, answers))


def time_torch(job: Job, reference: Candidate, notes: list[str], beat: float) -> list[Candidate]:
    """The ways to run torch that agree with the reference, itself among them; notes tells of those that do not.

    beat: seconds of the fastest way known.
    """
    found: list[Candidate] = []
    for setting, precision in torch_engine.settings(job.sample).items():
        if setting == reference.setting and reference.seconds >= MAX_SECONDS:
            found.append(reference)
            continue
        run = torch_engine.compile_torch(job.module, job.input_names, setting, precision)
        timed = time_run(run, job.sample, min([beat, *(c.seconds for c in found)]))
        error = difference(timed.answers, reference.timed.answers)
        if error <= MAX_RELATIVE_ERROR:
            found.append(Candidate("torch", setting, precision, run, timed, error))
        else:
            notes.append(f"torch {setting} in {precision} is not used: {_differ(error)}")
    return found


def time_openvino(job: Job, reference: Candidate, notes: list[str]) -> list[Candidate]:
    """The ways to run OpenVINO, all on one converted network, which is kept.

    Raises Unusable where it is not installed or no conversion gives the reference's answers.
    """
    if openvino_engine.version() is None:
        raise Unusable("it is not installed (pip install openvino)")
    network, first = _convert(job, reference, notes)
    found = [first]
    for setting, streams in openvino_engine.settings(job.sample, job.dynamic_shapes).items():
        if setting == first.setting:
            continue
        if first.compile_seconds > MAX_COMPILE_SECONDS:
            notes.append(f"{setting} not tried: compiling takes {first.compile_seconds:.0f} s")
            break
        try:
            run, compile_seconds = _compile(job, network, streams)
            timed = time_run(run, job.sample, first.seconds)
        except RuntimeError as failure:
            notes.append(f"{setting} not used: {_first_line(failure)}")
            continue
        error = difference(timed.answers, reference.timed.answers)
        if error <= MAX_RELATIVE_ERROR:
            found.append(replace(first, setting=setting, run=run, timed=timed, error=max(error, first.error),
                                 compile_seconds=compile_seconds))  # fmt: skip
        else:
            notes.append(f"{setting} not used: {_differ(error)}")
    return found


def _convert(job: Job, reference: Candidate, notes: list[str]) -> tuple[Any, Candidate]:
    """The first network that agrees with the reference at two sizes: the kept one, converted fast, converted slowly."""
    other = resized(job.sample, job.dynamic_shapes, 0.75)
    expected = reference.run(other)
    fault = ""
    for origin in ("kept", *openvino_engine.LEAST_SIZE):
        begin = time.perf_counter()
        try:
            network = _network(job, origin)
            convert_seconds = time.perf_counter() - begin
            if network is None:
                continue
            run, compile_seconds = _compile(job, network)
            timed = time_run(run, job.sample)
            errors = (difference(timed.answers, reference.timed.answers), difference(run(other), expected))
        except Exception as error:  # whatever a converter meets, there is another way
            fault = f"the model could not be converted ({_first_line(error)})"
            continue
        worst = float(np.max(errors))  # NaN stays NaN
        if not worst <= MAX_RELATIVE_ERROR:
            fault = _differ(worst)
            continue
        if fault:
            job.say(f"The fast conversion for OpenVINO is not used, which costs time: {fault}.")
            notes.append(f"fast conversion not used: {fault}")
        if job.kept and origin != "kept":
            openvino_engine.keep(network, job.kept)
        digest = openvino_engine.kept_digest(job.kept) if job.kept else ""
        return network, Candidate("openvino", openvino_engine.LATENCY, "f32", run, timed, worst, convert_seconds,
                                  compile_seconds, digest)  # fmt: skip
    raise Unusable(fault)


def _network(job: Job, origin: str) -> Any:
    if origin == "kept":
        return openvino_engine.read_kept(job.kept, job.say) if job.kept else None
    # other sizes than those it is compared at, so that a size taken for a constant shows
    example = resized(job.sample, job.dynamic_shapes, 0.25, openvino_engine.LEAST_SIZE[origin])
    return openvino_engine.convert(job.module, example, job.input_names, job.dynamic_shapes, origin)


def _compile(job: Job, network: Any, streams: int = 1) -> tuple[Run, float]:
    begin = time.perf_counter()
    run = openvino_engine.compile_openvino(network, job.input_names, streams)
    return run, time.perf_counter() - begin


def as_remembered(job: Job, choice: Choice) -> Candidate | None:
    """The remembered way to run, timed on the sample but compared with nothing.

    None where the network that it was measured with is gone or will not run any more.
    """
    begin = time.perf_counter()
    try:
        if choice.name == "torch":
            run = torch_engine.compile_torch(job.module, job.input_names, choice.setting, choice.precision)
            return Candidate("torch", choice.setting, choice.precision, run, time_run(run, job.sample))
        # damage is said when it is converted again
        network = openvino_engine.read_kept(job.kept, lambda message: None) if job.kept else None
        if job.kept is None or network is None or openvino_engine.kept_digest(job.kept) != choice.network:
            return None
        run, compile_seconds = _compile(
            job, network, openvino_engine.settings(job.sample, job.dynamic_shapes)[choice.setting]
        )
        read_seconds = time.perf_counter() - begin - compile_seconds
        timed = time_run(run, job.sample)
    except (RuntimeError, KeyError) as error:
        job.say(f"The engine remembered for this network does not run: {_first_line(error)}. Measuring again.")
        return None
    return Candidate("openvino", choice.setting, "f32", run, timed, 0.0, read_seconds, compile_seconds, choice.network)


def _differ(error: float) -> str:
    return f"its answers differ from torch's by {error:.1e} (relative), more than {MAX_RELATIVE_ERROR:.0e}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"
