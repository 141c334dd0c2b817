"""Cut any network in two: export its graph, follow which values are still needed, cut between blocks.

The values that are live at a cut are its state. Parameters keep their names in both halves, so tuned values go
straight back into the original model. What depends only on the persistent inputs (a padding mask), parameters,
constants and sizes is not stored in the state but computed again behind the cut. A parameter that the state depends
on belongs to the part before the cut: behind it, it does not train.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node

from headstart.backbones.graph_export import export_graph, quiet_export
from headstart.backbones.graph_units import multiply_adds, parameter_of, units

MAX_STATE_TENSORS = 4
_Size = tuple[Node, int]  # a tensor and the axis whose length it is


@dataclass(frozen=True)
class StateTensor:
    """One live value at a cut.

    name: its node in the graph. ragged: axes of one example's array (batch axis removed) that grow with the example.
    """

    name: str
    ragged: tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """A place between two units of a network.

    name: the first unit behind the cut, for example "blocks.6". position: index of the last node before it.
    suffix_share: share of the parameters that train behind the cut. compute_share: share of the multiply-adds there.
    """

    name: str
    position: int
    state: tuple[StateTensor, ...]
    suffix_share: float
    compute_share: float


def distinct_tensors(cuts: Sequence[Cut]) -> tuple[StateTensor, ...]:
    """The tensors of these cuts' states in order, each once: cuts inside a decoder share the encoder's output."""
    return tuple({tensor.name: tensor for cut in cuts for tensor in cut.state}.values())


class CutGraph:
    """An exported network that can be cut.

    module: called with keyword tensors, all with the batch as first axis; returns a dict of named tensors.
    persistent: inputs that stay available behind the cut (masks).
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: dict[str, torch.Tensor],
        dynamic_shapes: dict[str, Any],
        persistent: Sequence[str] = (),
    ) -> None:
        self.module = export_graph(module, inputs, dynamic_shapes)
        self.input_names = tuple(inputs)
        self.persistent = tuple(persistent)
        self.nodes = list(self.module.graph.nodes)
        self._named: dict[str, Node] = {node.name: node for node in self.nodes}
        self._units = units(self.nodes, module)
        self._costs = {node: multiply_adds(node) for node in self.nodes}
        self._parameters = {n: p for n in self.nodes if (p := parameter_of(self.module, n)) is not None}
        self._rebuildable = self._find_rebuildable()
        output = self.nodes[-1].args[0]
        outputs: Any = torch.utils._pytree.tree_unflatten(list(_flat(output)), cast(Any, self.module._out_spec))
        self.output_names: tuple[str, ...] = tuple(outputs)
        self._outputs: list[Node] = [outputs[name] for name in self.output_names]

    @property
    def multiply_adds(self) -> float:
        """Of the whole network, for one example."""
        batch = self._named[self.input_names[0]].meta["val"].shape[0]
        return sum(self._costs.values()) / float(batch if isinstance(batch, int) else batch.node.hint)

    def cuts(self) -> list[Cut]:
        """All places between units where few tensors suffice, in order from the input to the output."""
        return list(self._cuts)

    @cached_property
    def _cuts(self) -> list[Cut]:
        last_use = {used: i for i, node in enumerate(self.nodes) for used in node.all_input_nodes}
        found: list[Cut] = []
        live: dict[Node, None] = {}  # ordered
        for i, node in enumerate(self.nodes[:-1]):
            if i and self._units[i - 1] and self._units[i] != self._units[i - 1]:
                state = [n for n in live if n not in self._rebuildable]
                few = 0 < len(state) <= MAX_STATE_TENSORS and all(map(self._storable, state))
                if few and self._plan(state, self.persistent) is not None:
                    found.append(self._describe(self._units[i], i - 1, state))
            live = {n: None for n in [*live, node] if last_use.get(n, -1) > i}
        return found

    def _describe(self, name: str, position: int, state: Sequence[Node]) -> Cut:
        before = _ancestors(state)
        frozen = {id(p): p.numel() for n, p in self._parameters.items() if n in before}  # shared ones count once
        total = {id(p): p.numel() for p in self._parameters.values()}
        cost = sum(self._costs.values())
        cost_before = sum(c for n, c in self._costs.items() if n in before)
        tensors = tuple(StateTensor(n.name, _ragged(n)) for n in state)
        suffix_share = 1.0 - sum(frozen.values()) / (sum(total.values()) or 1)
        return Cut(name, position, tensors, suffix_share, 1.0 - cost_before / (cost or 1.0))

    def _storable(self, node: Node) -> bool:
        """A floating tensor with one row for each example."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.dim() < 1:
            return False
        batch = str(self._named[self.input_names[0]].meta["val"].shape[0])
        return str(value.shape[0]) == batch and not any(batch in _symbols(size) for size in value.shape[1:])

    def _find_rebuildable(self) -> set[Node]:
        """Nodes computed from persistent inputs, parameters, constants and sizes alone: no state is needed for them."""
        found: set[Node] = set()
        for node in self.nodes:
            if node.op == "placeholder":
                known = node.name in self.persistent
            else:
                known = node.op == "get_attr" or _is_size(node) or all(a in found for a in node.all_input_nodes)
            if known and node.op != "output":
                found.add(node)
        return found

    def _plan(self, state: Sequence[Node], inputs: Sequence[str]) -> tuple[dict[Node, _Size], list[Node]] | None:
        """What must be read and then computed for the outputs where only these values are given, inputs first.

        None where a size is needed that the given tensors do not have.
        """
        given = [*state, *(self._named[name] for name in inputs)]
        known = {str(size): (n, axis) for n in given[::-1] for axis, size in enumerate(n.meta["val"].shape)}
        read: dict[Node, _Size] = {}
        compute: list[Node] = []
        done = set(given)
        waiting = self._outputs[::-1]
        while waiting:
            node = waiting[-1]
            size = known.get(str(node.meta["val"])) if isinstance(node.meta.get("val"), torch.SymInt) else None
            missing = [] if size else [n for n in node.all_input_nodes if n not in done]
            if node in done:
                waiting.pop()
            elif size:
                read[node] = size
                done.add(node)
            elif node.op == "placeholder":
                return None
            elif missing:
                waiting += missing[::-1]
            else:
                compute.append(node)
                done.add(node)
        return read, compute

    def state_shapes(self, cut: Cut, inputs: Mapping[str, Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        """Shapes of one example's state tensors, without the batch axis.

        inputs: shapes of that example's own inputs, without the batch axis and padding.
        """
        sizes: dict[Any, int] = {}
        for name, shape in inputs.items():
            for symbolic, size in zip(self._named[name].meta["val"].shape[1:], shape):
                if isinstance(symbolic, torch.SymInt):
                    sizes[symbolic.node.expr] = size
        return tuple(
            tuple(
                int(n.node.expr.subs(sizes)) if isinstance(n, torch.SymInt) else n
                for n in self._named[tensor.name].meta["val"].shape[1:]
            )
            for tensor in cut.state
        )

    def tap(self, cuts: Sequence[Cut], outputs: bool = True) -> GraphModule:
        """One pass over the data: inputs in order -> the cuts' tensors, then the outputs if wanted.

        Tensors come in the order of `distinct_tensors`: what two cuts share comes once. Without the outputs, inputs
        that no state depends on are not taken. Shares the parameters of the exported network.
        """
        graph = Graph()
        copied: dict[Node, Node] = {}
        for node in self.nodes[:-1]:
            copied[node] = graph.node_copy(node, lambda n: copied[n])
        wanted = [self._named[tensor.name] for tensor in distinct_tensors(cuts)]
        graph.output(tuple(copied[n] for n in [*wanted, *(self._outputs if outputs else ())]))
        graph.eliminate_dead_code()
        for placeholder in [] if outputs else [n for n in graph.find_nodes(op="placeholder") if not n.users]:
            graph.erase_node(placeholder)
        with quiet_export():
            return GraphModule(self.module, graph)

    def suffix(self, cut: Cut | None) -> nn.Module:
        """The part behind a cut, with parameters of its own: (state..., persistent inputs...) -> dict of outputs.

        None: the whole network, called with all inputs in the order of input_names.
        """
        state = [self._named[tensor.name] for tensor in cut.state] if cut else []
        names = self.persistent if cut else self.input_names
        graph = Graph()
        copied = {n: graph.placeholder(f"state_{n.name}") for n in state}
        copied |= {n: graph.placeholder(n.name) for n in map(self._named.__getitem__, names)}
        plan = self._plan(state, names)
        assert plan is not None, "cuts() leaves out the cuts that have no plan"
        read, compute = plan
        for node, (source, axis) in read.items():
            copied[node] = graph.call_function(torch.ops.aten.sym_size.int, (copied[source], axis))
        for node in compute:
            copied[node] = graph.node_copy(node, lambda n: copied[n])
        graph.output(tuple(copied[n] for n in self._outputs))
        graph.eliminate_dead_code()
        frozen = {id(self._parameters[n]) for n in _ancestors(state) if n in self._parameters}
        with quiet_export():
            module = GraphModule(self.module, graph)
            frozen_names = [n for n, p in module.named_parameters(remove_duplicate=False) if id(p) in frozen]
            module = copy.deepcopy(module)
        for name in frozen_names:
            module.get_parameter(name).requires_grad_(False)
        return Suffix(module, self.output_names)


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


def _is_size(node: Node) -> bool:
    return node.op == "call_function" and node.target is torch.ops.aten.sym_size.int


def _symbols(size: int | torch.SymInt) -> set[str]:
    return {str(s) for s in size.node.expr.free_symbols} if isinstance(size, torch.SymInt) else set()


def _ragged(node: Node) -> tuple[int, ...]:
    return tuple(axis for axis, size in enumerate(node.meta["val"].shape[1:]) if _symbols(size))


def _ancestors(nodes: Iterable[Node]) -> set[Node]:
    """These nodes and all that they are computed from; a size is read, not computed."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [] if _is_size(node) else node.all_input_nodes
    return found
