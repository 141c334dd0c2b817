"""What lies where in an exported graph: its units (blocks), the cost of its nodes, the identity of its parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node

from headstart.backbones.graph_export import attribute

FEW_UNITS = 6


def units(nodes: Sequence[Node], module: nn.Module) -> list[str]:
    """For each node the unit it begins or continues; "" before the first unit.

    A unit is an outermost numbered module with parts and parameters (blocks.6, encoder.layer.5); where there is none,
    a numbered layer with weights (VGG's features.3). Networks with fewer than six units are divided one numbered level
    deeper where that holds blocks of one type (stages.2.blocks.6). What lies outside of any unit, or in one that ended
    already, continues the unit before it.
    """
    modules = dict(module.named_modules(remove_duplicate=False))
    paths = [_path(node) for node in nodes]
    levels = [_levels(path, modules, _has_parts) for path in paths]
    if not any(levels):
        levels = [_levels(path, modules, _has_weights) for path in paths]
    depth = 2 if len({found[0] for found in levels if found}) < FEW_UNITS else 1
    names: dict[str, str] = {"": ""}  # innermost level -> the unit's name
    unit, result = "", []
    for found in levels:
        key = found[:depth][-1] if found else ""
        if key not in names:
            # blocks.1 where it begins with blocks.1.0
            unit = names[key] = found[0] if found[0] not in names.values() else key
        result.append(unit)
    return result


def _path(node: Node) -> str:
    """Dotted name of the module that made a node."""
    stack = node.meta.get("nn_module_stack") or {}
    return re.sub(r"^L\['self'\]\.?", "", str(list(stack.values())[-1][0])) if stack else ""


def _has_parts(module: nn.Module) -> bool:
    return next(module.children(), None) is not None and next(module.parameters(), None) is not None


def _has_weights(module: nn.Module) -> bool:
    return any(p.dim() > 1 for p in module.parameters())


def _levels(path: str, modules: dict[str, nn.Module], is_unit: Callable[[nn.Module], bool]) -> list[str]:
    """Numbered units around a path, outermost first."""
    parts = path.split(".")
    found: list[str] = []
    for depth in range(2, len(parts) + 1):
        name = ".".join(parts[:depth])
        unit = modules.get(name)
        if not parts[depth - 1].isdigit() or unit is None or not is_unit(unit):
            continue
        siblings = {type(m) for m in modules[".".join(parts[: depth - 1])].children()}
        if not found or len(siblings) == 1:
            found.append(name)
    return found


def multiply_adds(node: Node) -> float:
    """Multiplications of one node at the exported sizes; what is neither convolution nor matrix product counts 0."""
    name = str(node.target).removeprefix("aten.").split(".")[0]
    if node.op != "call_function" or name not in _COSTS:
        return 0.0
    shapes = [_shape(a) for a in node.args if isinstance(a, Node)]
    return float(_COSTS[name](_shape(node), shapes))


def _shape(node: Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return ()
    return tuple(n if isinstance(n, int) else int(n.node.hint) for n in value.shape)


def _convolution(out: Sequence[int], inputs: Sequence[Sequence[int]]) -> float:
    return math.prod(out) * math.prod(inputs[1][1:])  # weight: (out, in / groups, kernel...)


def _product(out: Sequence[int], inputs: Sequence[Sequence[int]]) -> float:
    return math.prod(out) * inputs[-2][-1]  # (..., n, k) @ (..., k, m); addmm has the sum first


def _linear(out: Sequence[int], inputs: Sequence[Sequence[int]]) -> float:
    return math.prod(out) * inputs[1][-1]  # weight: (out, in)


def _attention(out: Sequence[int], inputs: Sequence[Sequence[int]]) -> float:
    query, key = inputs[0], inputs[1]
    return math.prod(query) * key[-2] + math.prod(out) * key[-2]  # (B, H, T, D) with (B, H, S, D)


_COSTS: dict[str, Any] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _convolution),
    **dict.fromkeys(("mm", "bmm", "matmul", "addmm", "baddbmm"), _product),
    "linear": _linear,
    "scaled_dot_product_attention": _attention,
}


def parameter_of(module: GraphModule, node: Node) -> nn.Parameter | None:
    """The parameter that a node reads; shared ones are one object under several names."""
    if node.op != "get_attr":
        return None
    value = attribute(module, str(node.target))
    return value if isinstance(value, nn.Parameter) else None
