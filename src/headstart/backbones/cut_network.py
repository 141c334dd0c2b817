"""A network made ready for the ladder: where it can be tuned from, its frozen part, and the part behind a cut.

What every backbone of a cut network has in common; each holds one of these.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import nn

from headstart.backbones.adapters import Adapter
from headstart.backbones.backbone import Depth, Prefix, Recipe, Record
from headstart.backbones.graph_cut import Cut, CutGraph
from headstart.backbones.places import Positional, depths_of, padded, state_name, tapped, uncut
from headstart.errors import ModelError


class CutNetwork:
    """An adapted model, exported to a graph once it is cut.

    recipes: a depth's name -> how it is tuned. unit: what lies between two cuts ("block", "layer"). min_share: of the
    parameters, that a last unit holds at least. source_id: what the user calls the model.
    """

    def __init__(
        self, adapter: Adapter, recipes: Mapping[str, Recipe], source_id: str, unit: str, min_share: float = 0.0
    ) -> None:
        self.adapter = adapter
        self._recipes = recipes
        self._source_id = source_id
        self._unit = unit
        self._min_share = min_share

    @cached_property
    def _graph(self) -> CutGraph:
        return self.adapter.graph()

    @cached_property
    def _cuts(self) -> dict[str, Cut]:
        return {cut.name: cut for cut in self._graph.cuts()}

    @cached_property
    def depths(self) -> tuple[Depth, ...]:
        """Where it can be tuned from; not the whole of a network that sees padding, whose batches would need it.

        Raises ModelError where there is no place to cut.
        """
        found = depths_of(list(self._cuts.values()), self._min_share, self._unit)
        if not found:
            raise ModelError(
                f"{self._source_id} has no place between its {self._unit}s where it can be cut. Name another model, "
                "or use --depth head."
            )
        return tuple(d for d in found if d.cut is not None or not self.adapter.padding_changes)

    @property
    def multiply_adds(self) -> float:
        """Of the whole network, for one example."""
        return self._graph.multiply_adds

    def recipe(self, depth: Depth) -> Recipe:
        """How it is tuned at that depth."""
        return self._recipes[depth.name]

    def prefix(self, cuts: Sequence[str], outputs: bool = True) -> Prefix:
        """One pass for the states of these cuts and, if wanted, pooled features; without cuts the network as it is."""
        adapter = self.adapter
        if not cuts:
            return uncut(adapter.module.eval(), adapter.inputs, adapter.dynamic_shapes, adapter.padding_changes)
        chosen = [self._cuts[name] for name in cuts]
        return tapped(self._graph, chosen, adapter.dynamic_shapes, adapter.padding_changes, outputs)

    def suffix(self, cut: str | None) -> nn.Module:
        """A trainable copy of what lies behind the cut; None gives all of it."""
        return self._graph.suffix(self._cuts[cut] if cut else None)

    def live(self) -> nn.Module:
        """A trainable copy of the network as it is, called like suffix(None)."""
        return Positional(copy.deepcopy(self.adapter.module), tuple(self.adapter.inputs))

    def hands_on_tokens(self, cut: str | None) -> bool:
        """Whether this cut's state is nothing but arrays with one row for each token; None has the tokens."""
        return cut is None or all(tensor.ragged == (0,) for tensor in self._cuts[cut].state)

    def batch_state(self, cut: str, records: Sequence[Record]) -> tuple[tuple[torch.Tensor, ...], list[int]]:
        """Cached states of this cut, padded to the longest and stacked, and each example's own length along them."""
        tensors = self._cuts[cut].state
        states = tuple(padded([record[state_name(tensor)] for record in records]) for tensor in tensors)
        ragged = next((t for t in tensors if t.ragged), None)
        if ragged is None:
            return states, [1] * len(records)
        return states, [record[state_name(ragged)].shape[ragged.ragged[0]] for record in records]


def mask_of(lengths: Sequence[int], width: int | None = None) -> torch.Tensor:
    """(B,) lengths -> (B, T) of ones before and zeros behind each length; T is the longest where left out."""
    ends = torch.tensor(lengths)
    return (torch.arange(width or int(ends.max()))[None, :] < ends[:, None]).to(torch.int64)
