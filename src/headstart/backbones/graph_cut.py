"""Cut any network in two: export its graph, follow which values are still needed, cut between blocks.

The values that are live at a cut are its state. Parameters keep their names in both halves, so tuned values go
straight back into the original model. What depends only on the persistent inputs (a padding mask) is not stored in
the state but computed again behind the cut.
"""

from __future__ import annotations

import contextlib
import copy
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node

_NUMBERED_UNIT = re.compile(r"^(?:\w+\.)*?\w+\.\d+(?=\.|$)")


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Hide the exporter's own deprecation notices, which a user can do nothing about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@dataclass(frozen=True)
class Cut:
    """A place between two units of a network.

    name: the first unit behind the cut, for example "blocks.6". position: index of the last node before it.
    state: names of the live values. suffix_share: share of the parameters that lie behind the cut.
    """

    name: str
    position: int
    state: tuple[str, ...]
    suffix_share: float


class CutGraph:
    """An exported network that can be cut.

    module: called with keyword tensors, returns a dict of named tensors.
    persistent: inputs that stay available behind the cut (masks).
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: dict[str, torch.Tensor],
        dynamic_shapes: dict[str, Any],
        persistent: Sequence[str] = (),
    ) -> None:
        with quiet_export():
            exported = torch.export.export(module.eval(), (), inputs, dynamic_shapes=dynamic_shapes, strict=False)
            self.module: GraphModule = exported.module(check_guards=False)  # type: ignore[assignment]
        self.input_names = tuple(inputs)
        self.persistent = tuple(persistent)
        self.nodes = list(self.module.graph.nodes)
        self._index = {node: i for i, node in enumerate(self.nodes)}
        self._rebuildable = self._find_rebuildable()
        output = self.nodes[-1].args[0]
        outputs: Any = torch.utils._pytree.tree_unflatten(list(_flat(output)), cast(Any, self.module._out_spec))
        self.output_names: tuple[str, ...] = tuple(outputs)
        self._outputs: list[Node] = [outputs[name] for name in self.output_names]

    def _find_rebuildable(self) -> set[Node]:
        """Nodes computed from persistent inputs, constants and sizes alone."""
        found: set[Node] = set()
        for node in self.nodes:
            if node.op == "placeholder":
                if node.name in self.persistent:
                    found.add(node)
            elif node.op == "get_attr" or (
                node.op == "call_function"
                and all(a in found or not isinstance(a.meta.get("val"), torch.Tensor) for a in node.all_input_nodes)
            ):
                found.add(node)
            elif node.op == "call_function" and not isinstance(node.meta.get("val"), torch.Tensor | tuple | list):
                found.add(node)  # sizes: read again from whatever is available behind the cut
        return found

    def cuts(self) -> list[Cut]:
        """All places between units where one tensor suffices, in order from the input to the output."""
        last_use: dict[Node, int] = {}
        for node in self.nodes:
            for used in node.all_input_nodes:
                last_use[used] = self._index[node]
        total = sum(p.numel() for p in self.module.parameters()) or 1
        seen_before = 0
        found: list[Cut] = []
        unit = ""
        counted: set[str] = set()
        live: set[Node] = set()
        for i, node in enumerate(self.nodes[:-1]):
            here = _unit(node)
            if here and here != unit:
                state = [n for n in live if n not in self._rebuildable]
                if unit and len(state) == 1:
                    found.append(Cut(here, i - 1, (state[0].name,), 1.0 - seen_before / total))
                unit = here
            live = {n for n in live if last_use.get(n, -1) > i}
            if node.op != "get_attr" and last_use.get(node, -1) > i:
                live.add(node)
            for used in node.all_input_nodes:
                if used.op == "get_attr" and str(used.target) not in counted:
                    counted.add(str(used.target))
                    seen_before += _parameter_size(self.module, str(used.target))
        return found

    def tap(self, cut: Cut | None) -> GraphModule:
        """The whole network that also returns the cut's state: (state..., outputs...), for one pass over the data."""
        graph = Graph()
        copied: dict[Node, Node] = {}
        state = [self._by_name(name) for name in cut.state] if cut else []
        kept: dict[Node, Node] = {}
        for node in self.nodes[:-1]:
            copied[node] = graph.node_copy(node, lambda n: copied[n])
            if node in state:  # the next unit may work in place
                kept[node] = graph.call_function(torch.ops.aten.clone.default, (copied[node],))
        graph.output((*(kept[n] for n in state), *(copied[n] for n in self._outputs)))
        graph.eliminate_dead_code()
        return GraphModule(self.module, graph)

    def suffix(self, cut: Cut) -> nn.Module:
        """The part behind the cut, with parameters of its own: (state..., persistent inputs...) -> dict of outputs."""
        graph = Graph()
        copied: dict[Node, Node] = {}
        state = [self._by_name(name) for name in cut.state]
        for node in state:
            copied[node] = graph.placeholder(f"state_{node.name}")
        for name in self.persistent:
            copied[self._by_name(name)] = graph.placeholder(name)
        sizes = _Sizes(graph, {n: copied[n] for n in [*state, *map(self._by_name, self.persistent)]})

        def get(node: Node) -> Node:
            if node not in copied:
                value = node.meta.get("val")
                if node.target is torch.ops.aten.sym_size.int:
                    copied[node] = sizes.read(cast(torch.SymInt, value))
                else:
                    assert node in self._rebuildable, f"{node} is needed behind the cut but is not in its state"
                    for used in node.all_input_nodes:
                        get(used)
                    copied[node] = graph.node_copy(node, lambda n: copied[n])
            return copied[node]

        for node in self.nodes[cut.position + 1 : -1]:
            if node.op == "call_function" and node.target is not torch.ops.aten.sym_size.int:
                for used in node.all_input_nodes:
                    get(used)
                copied[node] = graph.node_copy(node, lambda n: copied[n])
        graph.output(tuple(get(n) for n in self._outputs))
        graph.eliminate_dead_code()
        with quiet_export():
            return Suffix(copy.deepcopy(GraphModule(self.module, graph)), self.output_names)

    def _by_name(self, name: str) -> Node:
        return cast(Node, next(n for n in self.nodes if n.name == name))


class _Sizes:
    """Reads symbolic sizes behind a cut from the tensors available there."""

    def __init__(self, graph: Graph, available: dict[Node, Node]) -> None:
        self.graph = graph
        self.available = available
        self.made: dict[str, Node] = {}

    def read(self, size: torch.SymInt) -> Node:
        key = str(size)
        if key not in self.made:
            for original, node in self.available.items():
                value = original.meta["val"]
                for axis, length in enumerate(value.shape):
                    if str(length) == key:
                        self.made[key] = self.graph.call_function(torch.ops.aten.sym_size.int, (node, axis))
                        return self.made[key]
            raise AssertionError(f"size {key} cannot be read from the state")
        return self.made[key]


class Suffix(nn.Module):
    """The part of a network behind a cut; returns its outputs by name."""

    def __init__(self, graph_module: GraphModule, output_names: tuple[str, ...]) -> None:
        super().__init__()
        self.graph_module = graph_module
        self.output_names = output_names

    def forward(self, *state: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(zip(self.output_names, self.graph_module(*state)))


def _flat(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else [value]


def _unit(node: Node) -> str:
    """The numbered unit (blocks.6, encoder.layer.5) that a node belongs to; "" outside of any."""
    stack = node.meta.get("nn_module_stack") or {}
    if not stack:
        return ""
    path = re.sub(r"^L\['self'\]\.?", "", str(list(stack.values())[-1][0]))
    match = _NUMBERED_UNIT.match(path)
    return match.group(0) if match else ""


def _parameter_size(module: nn.Module, name: str) -> int:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part)
    return value.numel() if isinstance(value, nn.Parameter) else 0
