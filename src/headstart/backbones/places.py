"""From the cuts of a graph to what the ladder uses: its depths, and the prefix that returns their states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Depth, Prefix
from headstart.backbones.graph_cut import Cut, CutGraph, StateTensor, distinct_tensors

MAX_RANK = 4  # of an example's input
THIRD = 2 / 3  # of the units lie before the last third


def depths_of(cuts: Sequence[Cut], min_share: float, unit: str) -> tuple[Depth, ...]:
    """Last unit, last third, everything; the last unit is the first that holds min_share of the parameters.

    cuts: from the input to the output; one unit lies between two of them.
    """
    if not cuts:
        return ()
    last = next((cut for cut in reversed(cuts) if cut.suffix_share >= min_share), cuts[0])
    third = cuts[min(len(cuts), math.ceil(THIRD * (len(cuts) + 1))) - 1]
    depths = [Depth("block", f"last {unit} and head", last.name, last.compute_share)]
    if third.position < last.position:
        depths.append(Depth("third", "last third and head", third.name, third.compute_share))
    return (*depths, Depth("all", "whole network", None, 1.0))


def state_name(tensor: StateTensor) -> str:
    """Its name among a prefix's outputs; cuts that share a tensor share the name."""
    return f"state:{tensor.name}"


def tapped(
    graph: CutGraph,
    cuts: Sequence[Cut],
    dynamic_shapes: dict[str, Any],
    equal_lengths: bool = False,
    outputs: bool = True,
) -> Prefix:
    """The whole graph, also returning the states of these cuts, each tensor once, as a prefix for one pass.

    outputs: whether the network's own outputs are wanted too; else it ends at the last of the cuts.
    """
    states = {cut.name: tuple(map(state_name, cut.state)) for cut in cuts}
    tensors = distinct_tensors(cuts)
    ragged = {state_name(tensor): tensor.ragged for tensor in tensors}
    names = (*map(state_name, tensors), *(graph.output_names if outputs else ()))

    @cache
    def shapes(length: int) -> dict[str, tuple[int, ...]]:
        real = dict.fromkeys(graph.input_names, (length,) * MAX_RANK)
        return {
            state_name(tensor): shape for cut in cuts for tensor, shape in zip(cut.state, graph.state_shapes(cut, real))
        }

    module = graph.tap(cuts, outputs)
    taken = tuple(str(node.target) for node in module.graph.find_nodes(op="placeholder"))
    dynamic = {name: dynamic_shapes[name] for name in taken}
    return Prefix(module, taken, names, states, ragged, dynamic, shapes, equal_lengths=equal_lengths)


class Positional(nn.Module):
    """Positional tensors for a module that takes keywords and returns a dict."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = tuple(names)

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        named: dict[str, torch.Tensor] = self.network(**dict(zip(self.names, inputs)))
        return named


class _Values(nn.Module):
    """The values of a module's dict, as a tuple."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network(*inputs).values())


def uncut(
    module: nn.Module, inputs: dict[str, torch.Tensor], dynamic_shapes: dict[str, Any], equal_lengths: bool = False
) -> Prefix:
    """The whole network for its pooled features alone, as it is: exporting it to a graph would take seconds.

    inputs: an example batch, on which the module runs once to learn the outputs' names.
    """
    with torch.inference_mode():
        names = tuple(module(**inputs))
    positional = Positional(module, tuple(inputs))
    return Prefix(_Values(positional), tuple(inputs), names, {}, {}, dynamic_shapes, equal_lengths=equal_lengths)


def padded(arrays: Sequence[NDArray[Any]]) -> torch.Tensor:
    """Arrays of one rank as a batch, each axis as long as the longest array's; what is added is zero."""
    shapes = np.array([a.shape for a in arrays])  # (B, rank)
    if (shapes == shapes[0]).all():
        return torch.from_numpy(np.stack(arrays)).float()
    batch = torch.zeros(len(arrays), *shapes.max(0).tolist())
    for row, array in enumerate(arrays):
        batch[row][tuple(slice(n) for n in array.shape)] = torch.from_numpy(np.array(array, dtype=np.float32))
    return batch
