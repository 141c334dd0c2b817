"""Make a network traceable for any size: a tracer follows sizes only through torch's Python functions.

An exported graph reads sizes with `aten.sym_size` and hands them to aten operators; tracing would turn both into the
constants of the example. Here they become the Python functions of the same name, which keep sizes as values.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from torch.fx import GraphModule, Node


def traceable(module: nn.Module) -> nn.Module:
    """The same network, weights shared; other modules than exported graphs come back as they are."""
    if not isinstance(module, GraphModule):
        return module
    graph = copy.deepcopy(module.graph)
    for node in graph.nodes:
        if node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):
            node.target = _following_sizes(node)
    return GraphModule(module, graph)


def _following_sizes(node: Node) -> Callable[..., Any]:
    operator = cast(torch._ops.OpOverload, node.target)
    if operator is torch.ops.aten.sym_size.int:
        return torch.Tensor.size
    if not any(_is_size(used) for used in node.all_input_nodes):
        return operator
    if operator is torch.ops.aten.slice.Tensor:
        return _slice
    name = operator.overloadpacket.__name__
    # an operator without a Python function stays as it is: comparing answers at other sizes shows whether it mattered
    return getattr(torch, name, None) or getattr(torch.Tensor, name, None) or operator


def _is_size(node: Node) -> bool:
    return isinstance(node.meta.get("val"), int | torch.SymInt)


def _slice(
    x: torch.Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> torch.Tensor:
    return x[(slice(None),) * dim + (slice(start, end, step),)]
