"""What the benchmarks share: facts about the machine, timed processes, records, intervals, tables."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
HERE = Path(__file__).resolve().parent
VERSIONED = (
    "headstart", "torch", "torchvision", "timm", "transformers", "sentence-transformers", "scikit-learn", "cleanlab",
    "openvino", "numpy",
)  # fmt: skip


@dataclass(frozen=True)
class Process:
    """A finished process: wall and CPU seconds (those of the processes it waited for included), and its stdout.

    peak_bytes: most resident memory of one process, of it and of those it waited for. A process starts with its
    parent's peak, so this script itself has to stay smaller.
    """

    wall_s: float
    cpu_s: float
    output: str
    peak_bytes: int


class Said:
    """A headstart reporter that writes sentences to stderr and shows no progress."""

    def say(self, message: str) -> None:
        print(message, file=sys.stderr)

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        del description, total
        yield from items


@dataclass
class Records:
    """Appends JSON lines to <folder>/<name>.jsonl; `run` ties the lines of one call together."""

    name: str
    folder: Path
    small: bool
    run: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def write(self, kind: str, **facts: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        line = {"benchmark": self.name, "run": self.run, "small": self.small, "kind": kind, **facts}
        with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")

    def open(self, arguments: argparse.Namespace) -> None:
        """The first line: what was asked for, and on which machine."""
        self.write("start", arguments={k: str(v) for k, v in vars(arguments).items()}, machine=machine())


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that all benchmarks have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--results", type=Path, default=HERE / "out", help="folder of the JSON lines")
    return made


def machine() -> dict[str, Any]:
    """Hardware, load, versions and commit."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": _said_by("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "none",
        "system": platform.platform(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONED},
        "commit": _said_by("git", "-C", str(HERE), "describe", "--always", "--dirty") or "none",
    }


def machine_line() -> str:
    """One line for the end of a table."""
    facts = machine()
    used = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    return f"{facts['cpu']}, {facts['cores']} cores, {datetime.date.today()}, Python {facts['python']}, {used}"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _said_by(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        return ""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def run_process(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Process:
    """Run a command to its end.

    Raises SystemExit with the command's last words where it fails.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as words:
        begin = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=words,
                                   env={**os.environ, **(environment or {})})  # fmt: skip
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        wall_s = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        words.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}: {words.read()[-2000:]}")
        return Process(wall_s, usage.ru_utime + usage.ru_stime, output.read(), usage.ru_maxrss * 1024)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median (smallest to largest); the value alone where there is one."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def crossed_interval(
    seeds: Sequence[int], units: Sequence[str], tops: Sequence[float], bottoms: Sequence[float], resamples: int = 2000
) -> tuple[float, float, float]:
    """sum(tops) / sum(bottoms) over all cells, with its 95% interval.

    Seeds and units (rows, or groups of rows) are resampled independently of each other, so that neither the shared
    test row nor the shared training set counts as new evidence: the pigeonhole bootstrap (Owen 2007), which errs on
    the wide side. With one seed only units are resampled.
    """
    rng = np.random.default_rng(0)
    seed_names, seed = np.unique(np.asarray(seeds), return_inverse=True)
    unit_names, unit = np.unique(np.asarray(units), return_inverse=True)
    top, bottom = np.asarray(tops, dtype=float), np.asarray(bottoms, dtype=float)
    drawn = []
    for _ in range(resamples):
        weight = np.bincount(rng.integers(len(unit_names), size=len(unit_names)), minlength=len(unit_names))[unit]
        if len(seed_names) > 1:
            times = np.bincount(rng.integers(len(seed_names), size=len(seed_names)), minlength=len(seed_names))
            weight = weight * times[seed]
        if (weight * bottom).sum() > 0:
            drawn.append((weight * top).sum() / (weight * bottom).sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(top.sum() / bottom.sum()), float(low), float(high)


def points(found: tuple[float, float, float]) -> str:
    """A difference of shares with its interval, in points."""
    value, low, high = (100 * v for v in found)
    return f"{value:+.2f} points (95% interval {low:+.2f} to {high:+.2f})"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
