"""Low-rank changes to a network's matrices, merged into them after training (Hu et al. 2021, LoRA).

In an exported graph a change goes beside its matrix, so that no step computes the gradient of the matrix itself;
anywhere else the weight is parametrised, which works for any layer. What is saved is an ordinary checkpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.fx import GraphModule, Node
from torch.nn.utils import parametrize

from headstart.errors import SettingError

RANK = 16
ALPHA = 32.0
SMALLEST = 4 * RANK
"""Matrices with fewer rows or columns than this stay as they are: a low rank would save nothing."""

_FULL = ("head.",)  # trained in full


class _LowRank(nn.Module):
    """weight -> weight + (alpha / rank) B A; B starts at zero, so that training starts from the pretrained weight."""

    def __init__(self, weight: torch.Tensor, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.a = nn.Parameter(torch.randn(RANK, columns, generator=generator) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + (ALPHA / RANK) * (self.b @ self.a).view_as(weight)


@dataclass
class _Beside:
    """A change that stands beside a linear product: the product's weight, its own two parameters, and its nodes."""

    weight: str
    names: tuple[str, str]
    product: Node
    added: list[Node] = field(default_factory=list)  # in order; the last is the sum


def add_lora(module: nn.Module, seed: int) -> list[str]:
    """Freeze the network; train low-rank changes to its matrices, its norms and biases, and the head.

    Returns the names of the weights that were frozen, for `merge_lora`.
    Raises SettingError where no matrix is large enough.
    """
    generator = torch.Generator().manual_seed(seed)
    frozen: list[str] = []
    changed = 0
    products = dict(_products(module))
    for name, parameter in list(module.named_parameters()):
        if name.startswith(_FULL) or not parameter.requires_grad or parameter.dim() < 2:
            continue
        parameter.requires_grad_(False)
        frozen.append(name)
        if min(parameter.shape[0], parameter[0].numel()) >= SMALLEST and not _is_embedding(name):
            changed += 1
            if name in products:
                _put_beside(*products[name], _LowRank(parameter, generator))
                continue
            owner, _, attribute = name.rpartition(".")
            parametrize.register_parametrization(
                module.get_submodule(owner), attribute, _LowRank(parameter, generator), unsafe=True
            )
    if not changed:
        raise SettingError(
            f"Low-rank changes need a matrix of at least {SMALLEST} rows and columns, and this network has none. "
            "Use --depth all."
        )
    return frozen


def merge_lora(module: nn.Module, frozen: Sequence[str]) -> None:
    """Add the changes to the weights they belong to; those weights have their own names again and may train."""
    for part in module.modules():
        if isinstance(part, GraphModule):
            _take_in(part)
        if parametrize.is_parametrized(part):
            for name in list(part.parametrizations):  # type: ignore[union-attr, arg-type]
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    for name in frozen:
        module.get_parameter(name).requires_grad_(True)


def _products(module: nn.Module) -> Iterator[tuple[str, tuple[GraphModule, Node]]]:
    """Weights that an exported graph uses in one linear product and nowhere else, by name: the graph, the product."""
    for path, part in module.named_modules():
        if not isinstance(part, GraphModule):
            continue
        uses = Counter(str(n.target) for n in part.graph.nodes if n.op == "get_attr" for _ in n.users)
        for node in part.graph.find_nodes(op="call_function", target=torch.ops.aten.linear.default):
            weight = node.args[1]
            if isinstance(weight, Node) and weight.op == "get_attr" and uses[str(weight.target)] == 1:
                yield (f"{path}.{weight.target}" if path else str(weight.target)), (part, node)


def _put_beside(part: GraphModule, product: Node, change: _LowRank) -> None:
    """Make x W^T + bias into the same + (alpha / rank) (x A^T) B^T."""
    done: list[_Beside] = part.__dict__.setdefault("_beside", [])
    names = (f"lora_{len(done)}_a", f"lora_{len(done)}_b")
    for name, parameter in zip(names, (change.a, change.b)):
        part.register_parameter(name, parameter)
    weight = product.args[1]
    assert isinstance(weight, Node)
    beside = _Beside(str(weight.target), names, product)
    linear, graph = torch.ops.aten.linear.default, part.graph
    with graph.inserting_before(product.next):
        a, b = (graph.get_attr(name) for name in names)
        low = graph.call_function(linear, (product.args[0], a))
        high = graph.call_function(linear, (low, b))
        scaled = graph.call_function(torch.mul, (high, ALPHA / RANK))
        total = graph.call_function(torch.add, (product, scaled))
    product.replace_all_uses_with(total, delete_user_cb=lambda user: user is not total)
    beside.added = [a, b, low, high, scaled, total]
    done.append(beside)
    part.recompile()


def _take_in(part: GraphModule) -> None:
    """Add the changes beside products to their weights; the graph is as it was."""
    for beside in part.__dict__.pop("_beside", []):
        a, b = (part.get_parameter(name) for name in beside.names)
        with torch.no_grad():
            weight = part.get_parameter(beside.weight)
            weight.add_((ALPHA / RANK) * (b @ a).view_as(weight))
        beside.added[-1].replace_all_uses_with(beside.product)
        for node in reversed(beside.added):
            part.graph.erase_node(node)
        for name in beside.names:
            delattr(part, name)
    part.recompile()


def _is_embedding(name: str) -> bool:
    return any(part in name for part in ("embed", "wte", "wpe"))
