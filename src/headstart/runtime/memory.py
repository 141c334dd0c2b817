"""Remember which engine was fastest for a network on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from headstart.runtime import openvino as openvino_engine
from headstart.runtime import torch as torch_engine
from headstart.runtime.engine import Batch
from headstart.stock import products

LAYOUT = 1  # counts changes of the file; an older one is measured anew


@dataclass(frozen=True)
class Choice:
    """What a measurement decided.

    rates: examples per second by engine and setting. torch_rate: the best of torch's. network: digest of its files.
    fallback: what was said because an engine could not be used.
    """

    name: str
    setting: str
    precision: str
    rates: dict[str, float]
    torch_rate: float | None
    why: str
    network: str
    fallback: str

    @property
    def rate(self) -> float:
        """Of the way that was chosen, examples per second."""
        return float(self.rates[f"{self.name} {self.setting}"])


def circumstances(sample: Batch) -> dict[str, Any]:
    """All that a measurement holds for: this CPU or GPU, these versions, these sizes."""
    return {
        "layout": LAYOUT,
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "device": torch_engine.describe_device(),
        "torch": torch.__version__,
        "products": products.current(),
        "openvino": openvino_engine.version(),
        "conversion": openvino_engine.CONVERSION,
        "sizes": {name: list(value.shape) for name, value in sample.items()},
    }


def recall(file: Path, holds_for: dict[str, Any], say: Callable[[str], None]) -> Choice | None:
    """The choice measured under the same circumstances; None where there is none, which is said if it is damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["holds_for"] != holds_for:
            return None
        choice = Choice(**content["choice"])
        if not choice.rate > 0:
            raise ValueError(choice.rate)
        return choice
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        say(f"The engine remembered in {file} cannot be read. Measuring again.")
        return None


def remember(file: Path, holds_for: dict[str, Any], choice: Choice) -> None:
    """Write beside and rename. A full disk only costs the next run a measurement."""
    _write(file, {"holds_for": holds_for, "choice": asdict(choice)})


def recall_torch_share(kept: Path) -> float | None:
    """Torch's rate as a share of the engine's, as the last long pass on this machine showed it; None without one."""
    try:
        content = json.loads(_share_file(kept).read_text(encoding="utf-8"))
        share = float(content["share"])
        return share if content["holds_for"] == circumstances({}) and share > 0 else None
    except (OSError, ValueError, KeyError, TypeError):  # a damaged one is written anew after the next pass
        return None


def remember_torch_share(kept: Path, share: float) -> None:
    """Keep what a long pass showed: a batch or two, timed while the machine was busy, may have been far off."""
    _write(_share_file(kept), {"holds_for": circumstances({}), "share": share})


def _share_file(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}-share.json")


def _write(file: Path, content: dict[str, Any]) -> None:
    temporary = file.with_name(f"{file.name}-{os.getpid()}.part")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
        temporary.replace(file)
    temporary.unlink(missing_ok=True)


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
