"""`headstart doctor`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import torch
    from torch import nn

NEEDED = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "openvino",
    "numpy",
    "scipy",
    "scikit-learn",
    "Pillow",
    "soundfile",
    "soxr",
    "pyarrow",
    "safetensors",
    "huggingface_hub",
    "jiwer",
)


@click.command()
def command() -> None:
    """Check this machine and installation; exit code 1 when something is wrong."""
    checks: tuple[Callable[[], tuple[bool, str]], ...] = (
        _python,
        _packages,
        _torchvision,
        _engine,
        _device,
        _cache,
        _models,
    )
    healthy = True
    for check in checks:
        fine, told = check()
        healthy &= fine
        click.echo(f"{'ok  ' if fine else 'BAD '} {told}")
    if not healthy:
        sys.exit(1)


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} (3.11 or newer is needed)"


def _packages() -> tuple[bool, str]:
    found, missing = [], []
    for name in NEEDED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return False, f"missing packages: {', '.join(missing)}. Run `pip install headstart` again."
    return True, "packages: " + ", ".join(found)


def _torchvision() -> tuple[bool, str]:
    from headstart.stock import torchvision_ops

    try:
        torchvision_ops.ensure()
        import torchvision

        boxes, scores = _two_boxes()
        kept = torchvision.ops.nms(boxes, scores, 0.5).tolist()
    except (ImportError, RuntimeError, AttributeError) as error:
        return False, f"torchvision cannot be imported: {str(error)[:150]}. Install the build that matches torch."
    return kept == [1], f"torchvision {torchvision.__version__} works with torch"


def _two_boxes() -> tuple[Any, Any]:
    import torch

    return torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]]), torch.tensor([0.5, 0.9])


def _engine() -> tuple[bool, str]:
    import numpy as np
    import torch

    from headstart.runtime.choose import choose_engine

    said: list[str] = []
    sample = {"x": np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)}
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten()).eval()
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}}
    engine = choose_engine(
        _as_tuple(module), sample, ("x",), shapes, said.append, "openvino" if _has_openvino() else "torch"
    )
    return True, f"engine for the frozen part: {engine.name} {engine.version}" + (f" ({said[0]})" if said else "")


def _has_openvino() -> bool:
    from headstart.runtime.openvino import version as openvino_version

    return openvino_version() is not None


def _as_tuple(module: nn.Module) -> nn.Module:
    """Returns a tuple, as prefixes do."""
    from torch import nn as layers

    class Wrapped(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.inner(x),)

    return Wrapped()


def _device() -> tuple[bool, str]:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return True, f"{os.cpu_count()} CPU cores, {gpu}"


def _cache() -> tuple[bool, str]:
    from headstart.sources.cache_dir import cache_dir

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return False, f"cache folder {folder} cannot be used: {error.strerror}. Set HEADSTART_CACHE to another."
    return free > 2, f"cache folder {folder}, {free:.0f} GB free (2 GB are needed)"


def _models() -> tuple[bool, str]:
    from headstart import sources

    here = [s.id for s in sources.installed()]
    return True, f"pretrained models here: {', '.join(here) or 'none yet (headstart models get ID)'}"
