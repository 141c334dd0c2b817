"""Make torchvision importable where its compiled operators do not fit the installed torch.

PyPI's torchvision wheel for Linux is a CUDA build. Beside a CPU torch its operators do not load, and
`import torchvision` (hence timm and every transformers model) dies with "operator torchvision::nms does not exist".
Call `ensure()` before the first import of those. This file imports nothing from headstart: scripts copy it.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# Definitions vanish with the Library object, so it lives as long as this module.
_LIBRARY: torch.library.Library | None = None


def ensure() -> bool:
    """Define torchvision's missing operators; True if ours are in use, False if the compiled ones (or none) are.

    Calling it again changes nothing. Where ours are used, `torchvision.ops.nms` runs in plain torch and
    `roi_align` runs torchvision's own Python version; the other compiled operators stay unavailable.
    """
    global _LIBRARY
    if _LIBRARY is not None:
        return True
    if importlib.util.find_spec("torchvision") is None or compiled_operators_load():
        return False
    _forget_half_import()
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + SCHEMA)
    for device in ("CPU", "CUDA"):
        library.impl("nms", nms, device)
    _LIBRARY = library
    _let_boxes_use_nms()
    return True


def compiled_operators_load() -> bool:
    """Whether torchvision's own operators exist, loading its library if need be but importing no torchvision."""
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        library = Path(spec.origin).parent / f"_C{suffix}"
        if library.is_file():
            try:
                torch.ops.load_library(library)
            except (ImportError, OSError):
                return False
            return hasattr(torch.ops.torchvision, "nms")
    return False


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression: indices of the kept boxes, best score first.

    dets: (N, 4) as x1, y1, x2, y2. scores: (N,). A box goes when its IoU with a better kept box exceeds iou_threshold;
    equal scores keep their order. Returns int64 (K,). Source: torchvision's CPU kernel, same rules.
    """
    areas = (dets[:, 2] - dets[:, 0]) * (dets[:, 3] - dets[:, 1])  # (N,)
    waiting = scores.argsort(descending=True, stable=True)
    kept: list[torch.Tensor] = []
    while waiting.numel() > 0:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        top_left = torch.maximum(dets[best, :2], dets[waiting, :2])  # (M, 2)
        bottom_right = torch.minimum(dets[best, 2:], dets[waiting, 2:])  # (M, 2)
        overlap = (bottom_right - top_left).clamp(min=0).prod(dim=1)  # (M,)
        iou = overlap / (areas[best] + areas[waiting] - overlap)
        # Negated, so that the NaN of two empty boxes keeps both, as in the compiled kernel.
        waiting = waiting[~(iou > iou_threshold)]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64, device=dets.device)


def _forget_half_import() -> None:
    """Drop what a failed `import torchvision` left behind, so that the next one starts afresh."""
    if "torchvision" not in sys.modules:
        for name in [name for name in sys.modules if name.startswith("torchvision.")]:
            del sys.modules[name]


def _let_boxes_use_nms() -> None:
    """Lift the guard in front of `torchvision.ops.nms`, and only there: roi_align must keep taking its Python path."""
    from torchvision.ops import boxes

    boxes._assert_has_ops = _operators_are_defined


def _operators_are_defined() -> None:
    return None
