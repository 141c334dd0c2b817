"""Export a network to a graph without side effects, so that its values can be followed from node to node."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node

# they return their input where nothing is to be done, though their schemas do not say so
_MAY_ALIAS = frozenset({"dropout", "feature_dropout", "alpha_dropout", "detach_", "getitem"})


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Hide the exporter's own notices (deprecations, inequalities it gave up), which a user can do nothing about."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


def export_graph(module: nn.Module, inputs: dict[str, torch.Tensor], dynamic_shapes: dict[str, Any]) -> GraphModule:
    """The module in evaluation mode as a graph of torch operators, none of which changes a value in place.

    inputs: keyword tensors. dynamic_shapes: in torch.export's form, by input name. Parameters keep their names, tied
    ones the first of them.
    Raises what the exporter raises, and ValueError where an axis that should vary cannot.
    """
    with quiet_export():
        exported = torch.export.export(module.eval(), (), inputs, dynamic_shapes=dynamic_shapes, strict=False)
        graph_module: Any = exported.module(check_guards=False)
        if not _out_of_place(graph_module):
            # slower, and batch norm becomes another operator: only where views are written through
            graph_module = exported.run_decompositions({}).module(check_guards=False)
            for node in reversed(list(graph_module.graph.nodes)):
                if _in_place(node):  # what is left writes the changed inputs back to the caller
                    graph_module.graph.erase_node(node)
    graph = graph_module.graph
    _check_dynamic(graph.nodes, dynamic_shapes)
    first_names = {id(parameter): name for name, parameter in module.named_parameters()}
    for node in graph.nodes:
        if node.op == "get_attr":  # tied parameters have several names; named_parameters() knows the first
            node.target = first_names.get(id(attribute(graph_module, str(node.target))), node.target)
    for node in reversed(list(graph.nodes)):
        if node.op == "call_function" and not node.users and "assert" in str(node.target):
            graph.erase_node(node)  # the exporter's checks of what it assumed
    graph.eliminate_dead_code()
    graph_module.recompile()
    result: GraphModule = graph_module
    return result


def _check_dynamic(nodes: Iterable[Node], dynamic_shapes: dict[str, Any]) -> None:
    """Raise ValueError where an axis that should vary was fixed to the example's size."""
    for node in nodes:
        for axis in dynamic_shapes.get(node.name, {}) if node.op == "placeholder" else ():
            size = node.meta["val"].shape[axis]
            if isinstance(size, int) or not size.node.expr.free_symbols:
                raise ValueError(f"axis {axis} of {node.name} cannot vary, it must be {size}")


def attribute(module: nn.Module, name: str) -> Any:
    """The parameter, buffer or module under a dotted name."""
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _out_of_place(graph_module: GraphModule) -> bool:
    """Replace operators that work in place by their twins that do not; False where a view is written through."""
    nodes = list(graph_module.graph.nodes)
    index = {node: i for i, node in enumerate(nodes)}
    storage: dict[Node, Node] = {}  # a node -> the first node that shares its memory
    last_use: dict[Node, int] = {}  # of any name of that memory
    for node in nodes:
        shares = node.all_input_nodes[0] if _aliases(node) and node.all_input_nodes else node
        storage[node] = storage.get(shares, shares)
    written: dict[Node, list[Node]] = {}
    for node in nodes:
        for used in node.all_input_nodes:
            if not _in_place(node) or used is not node.args[0]:
                last_use[used] = index[node]
        if _in_place(node):
            written.setdefault(storage[node], []).append(node)
    for root, writers in written.items():
        names = [n for n in nodes if storage[n] is root]
        for writer in writers:
            before = [n for n in names if index[n] < index[writer]]
            stale = any(last_use.get(n, -1) > index[writer] for n in before)
            if stale or root.op == "get_attr" or _twin(writer) is None:
                return False
    for writers in written.values():
        for writer in writers:
            writer.target = _twin(writer)
    return True


def _name(node: Node) -> str:
    return str(getattr(node.target, "__name__", node.target)).split(".")[0]


def _in_place(node: Node) -> bool:
    name = _name(node)
    return isinstance(node.target, torch._ops.OpOverload) and name.endswith("_") and not name.startswith("_")


def _twin(node: Node) -> Any:
    """aten.relu_.default -> aten.relu.default; None where there is no such operator."""
    target: Any = node.target
    packet = getattr(torch.ops.aten, _name(node).removesuffix("_"), None)
    return getattr(packet, target._overloadname, None)


def _aliases(node: Node) -> bool:
    """Whether the node's value may share memory with its first argument."""
    if _name(node) in _MAY_ALIAS or _in_place(node):
        return True
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(r.alias_info is not None for r in schema.returns)
