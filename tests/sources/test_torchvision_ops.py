"""headstart/stock/torchvision_ops.py: torchvision imports, and its NMS computes."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch

from headstart.stock import torchvision_ops


def brute_force_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    def iou(a: np.ndarray, b: np.ndarray) -> float:
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return width * height / both

    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
def test_nms_equals_a_brute_force_search(threshold):
    rng = np.random.default_rng(int(threshold * 10))
    corners = rng.uniform(0, 20, (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 8, (200, 2))], axis=1)
    scores = rng.permutation(200) / 200
    kept = torchvision_ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == brute_force_nms(boxes, scores, threshold)


def test_nms_of_no_boxes_is_empty():
    kept = torchvision_ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_equal_scores_keep_their_order_and_empty_boxes_stay():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0], [9.0, 9.0, 9.0, 9.0], [9.0, 9.0, 9.0, 9.0]])
    assert torchvision_ops.nms(boxes, torch.ones(4), 0.5).tolist() == [0, 2, 3]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torchvision_works_after_ensure_even_when_an_import_failed_before():
    out = run_python(
        "try:\n    import torchvision\nexcept RuntimeError:\n    pass\n"
        "from headstart.stock import torchvision_ops as o\n"
        "first = o.ensure(); assert o.ensure() == first\n"
        "import torch, torchvision, timm\n"
        "from torchvision.ops import batched_nms, nms, roi_align\n"
        "boxes = torch.tensor([[0., 0., 4., 4.], [0., 0., 4., 3.9], [8., 8., 9., 9.]])\n"
        "scores = torch.tensor([.5, .9, .7])\n"
        "assert nms(boxes, scores, .5).tolist() == [1, 2]\n"
        "assert batched_nms(boxes, scores, torch.tensor([0, 1, 0]), .5).tolist() == [1, 2, 0]\n"
        "assert roi_align(torch.ones(1, 1, 8, 8), [boxes[:1]], 2).shape == (1, 1, 2, 2)\n"
        "print('fine')"
    )
    assert out.strip() == "fine"


def test_the_file_imports_nothing_from_headstart():
    tree = ast.parse(inspect.getsource(torchvision_ops))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [module for module in modules if module.startswith("headstart")]
