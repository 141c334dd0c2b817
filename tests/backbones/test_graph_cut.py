"""The mechanism of cutting, on networks small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from headstart.backbones.graph_cut import CutGraph, distinct_tensors

WIDTH = 4


def batch_axis() -> dict[int, Any]:
    return {0: torch.export.Dim("batch", min=1, max=64)}


def cut_graph(module: nn.Module, shape: tuple[int, ...] = (WIDTH,)) -> CutGraph:
    torch.manual_seed(0)
    return CutGraph(module, {"x": torch.randn(3, *shape)}, {"x": batch_axis()})


def rows(count: int, shape: tuple[int, ...] = (WIDTH,)) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def block(inputs: int = WIDTH, outputs: int = WIDTH) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False))


class Chain(nn.Module):
    """Blocks one after another; the first `kept` values are read again at the end."""

    def __init__(self, blocks: list[nn.Module], kept: int = 0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.kept = kept

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        values = [x]
        for module in self.blocks:
            values.append(module(values[-1]))
        return {"out": values[-1] + sum(value.sin() for value in values[1 : 1 + self.kept])}


def assert_every_cut_is_exact(module: nn.Module, graph: CutGraph, x: torch.Tensor) -> None:
    assert graph.cuts()
    given = x.clone()
    with torch.no_grad():
        expected = module(x.clone())["out"]
        for cut in graph.cuts():
            *state, out = graph.tap([cut])(x)
            kept = [tensor.clone() for tensor in state]
            torch.testing.assert_close(out, expected)
            torch.testing.assert_close(graph.suffix(cut)(*state)["out"], expected)
            assert all(torch.equal(a, b) for a, b in zip(state, kept)), "the suffix overwrote its input"
        assert torch.equal(x, given), "the prefix overwrote its input"


def test_shares_count_what_lies_behind_the_cut() -> None:
    graph = cut_graph(Chain([block(4, 8), block(8, 8), block(8, 2)]))  # 32 + 64 + 16 weights
    cuts = graph.cuts()
    assert [cut.name for cut in cuts] == ["blocks.1", "blocks.2"]
    assert [cut.suffix_share for cut in cuts] == pytest.approx([80 / 112, 16 / 112])
    # a linear layer multiplies each row once by each weight
    assert [cut.compute_share for cut in cuts] == pytest.approx([80 / 112, 16 / 112])


class Costs(nn.Module):
    """A convolution, then a product of two values, then attention: their costs differ from their parameters."""

    def __init__(self) -> None:
        super().__init__()
        convolution = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=False))
        self.blocks = nn.ModuleList([convolution, Squared(), Attends()])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        for module in self.blocks:
            x = module(x)
        return {"out": x}


class Squared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Sequential(nn.Linear(1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ x.mT) * self.scale[0].weight


class Attends(Squared):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x) * self.scale[0].weight


def test_multiply_adds_are_counted_by_hand() -> None:
    graph = cut_graph(Costs(), (2, 5, 5))
    convolution = 3 * 4 * 25 * (1 * 9)  # values of the output, each of one input channel's 3x3 window
    product = 3 * 4 * 25 * 5
    attention = 2 * 3 * 4 * 25 * 5  # queries with keys, weights with values
    total = convolution + product + attention
    assert [cut.compute_share for cut in graph.cuts()] == pytest.approx(
        [(product + attention) / total, attention / total]
    )


@pytest.mark.parametrize(("kept", "tensors"), [(0, [1, 1, 1]), (1, [1, 2, 2]), (3, [1, 2, 3])])
def test_all_live_values_are_the_state(kept: int, tensors: list[int]) -> None:
    module = Chain([block() for _ in range(4)], kept)
    graph = cut_graph(module)
    assert [len(cut.state) for cut in graph.cuts()] == tensors
    assert_every_cut_is_exact(module, graph, rows(5))


def test_there_is_no_cut_where_more_than_four_values_live() -> None:
    names = [cut.name for cut in cut_graph(Chain([block() for _ in range(8)], 7)).cuts()]
    assert names == [f"blocks.{i}" for i in range(1, 5)]


class Flattens(nn.Module):
    """Joins the batch with the features."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).flatten()


class Unflattens(Flattens):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.view(-1, WIDTH))


class Rounds(Flattens):
    """Hands on whole numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).round().to(torch.int64)


class Unrounds(Flattens):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.to(torch.float32))


@pytest.mark.parametrize(("closes", "opens"), [(Flattens, Unflattens), (Rounds, Unrounds)])
def test_a_state_is_floating_with_one_row_for_each_example(closes: type[nn.Module], opens: type[nn.Module]) -> None:
    graph = cut_graph(Chain([block(), closes(), opens(), block()]))
    assert [cut.name for cut in graph.cuts()] == ["blocks.1", "blocks.3"]


class Shared(nn.Module):
    """Its first and its last block read one parameter, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([block(), block(), block()])
        self.blocks[2][0].weight = self.blocks[0][0].weight

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        for module in self.blocks:
            x = module(x).tanh()
        return {"out": x}


def test_a_parameter_used_on_both_sides_does_not_train_behind_the_cut() -> None:
    module = Shared()
    graph = cut_graph(module)
    last = graph.cuts()[-1]
    assert last.name == "blocks.2"
    assert last.suffix_share == 0
    suffix = dict(graph.suffix(last).named_parameters())
    assert {name: p.requires_grad for name, p in suffix.items()} == {"graph_module.blocks.0.0.weight": False}
    first = dict(graph.suffix(graph.cuts()[0]).named_parameters())
    assert {name: p.requires_grad for name, p in first.items()} == {
        "graph_module.blocks.0.0.weight": False,
        "graph_module.blocks.1.0.weight": True,
    }
    assert_every_cut_is_exact(module, graph, rows(5))


class PreActivation(nn.Module):
    """Overwrites its input before it reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.activation = nn.SiLU(inplace=True)
        self.inner = block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(self.activation(x))
        return out


class WritesThroughAView(PreActivation):
    """Changes half of its input by way of a slice, and reads all of it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x[:, :2].mul_(3.0)
        out: torch.Tensor = self.inner(x)
        return out


class WritesBehindItsView(PreActivation):
    """Takes a view, overwrites what it shows, and reads the view."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        view = x.view(x.shape[0], WIDTH)
        self.activation(x)
        out: torch.Tensor = self.inner(view)
        return out


@pytest.mark.parametrize("kind", [PreActivation, WritesThroughAView, WritesBehindItsView])
def test_work_in_place_leaves_states_and_inputs_alone(kind: type[nn.Module]) -> None:
    module = Chain([kind() for _ in range(3)])
    graph = cut_graph(module)
    assert [cut.name for cut in graph.cuts()] == ["blocks.1", "blocks.2"]
    assert_every_cut_is_exact(module, graph, rows(5))


class Masked(nn.Module):
    """A sequence model whose blocks read a mask and a table of positions, both made before the first block."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(16, WIDTH)
        self.blocks = nn.ModuleList([block() for _ in range(3)])

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        keep = mask.unsqueeze(-1).to(x.dtype)  # (B, T, 1)
        table = self.positions(torch.arange(x.shape[1]))  # (T, D)
        for module in self.blocks:
            x = module(x + table) * keep
        return {"sum": x.sum(1), "most": x.amax(1)}


def masked_graph() -> tuple[Masked, CutGraph]:
    module = Masked()
    axes = {**batch_axis(), 1: torch.export.Dim("tokens", min=2, max=16)}
    inputs = {"x": torch.randn(3, 5, WIDTH), "mask": torch.ones(3, 5, dtype=torch.int64)}
    return module, CutGraph(module, inputs, {"x": axes, "mask": axes}, persistent=("mask",))


def test_what_depends_on_masks_sizes_and_parameters_is_rebuilt() -> None:
    module, graph = masked_graph()
    x, mask = rows(2, (7, WIDTH)), torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    for cut in graph.cuts():
        assert len(cut.state) == 1
        assert cut.state[0].ragged == (0,)
        assert graph.state_shapes(cut, {"x": (4, WIDTH), "mask": (4,)}) == ((4, WIDTH),)
        with torch.no_grad():
            state, *outputs = graph.tap([cut])(x, mask)
            found = graph.suffix(cut)(state, mask)
            expected = module(x, mask)
        assert graph.output_names == tuple(found) == ("sum", "most")
        for name, output in zip(graph.output_names, outputs):
            torch.testing.assert_close(output, expected[name])
            torch.testing.assert_close(found[name], expected[name])
    # the first block's state depends on the table, so the table does not train behind it
    trains = {name: p.requires_grad for name, p in graph.suffix(graph.cuts()[0]).named_parameters()}
    assert trains == {
        "graph_module.positions.weight": False,
        "graph_module.blocks.1.0.weight": True,
        "graph_module.blocks.2.0.weight": True,
    }


def test_one_pass_gives_the_states_of_several_cuts() -> None:
    graph = cut_graph(Chain([block() for _ in range(4)], 1))
    cuts = graph.cuts()
    x = rows(5)
    together = graph.tap(cuts)(x)
    names = [tensor.name for tensor in distinct_tensors(cuts)]
    assert len(together) == len(names) + 1 < 1 + sum(len(cut.state) for cut in cuts)  # a skip is shared
    named = dict(zip(names, together))
    for cut in cuts:
        for tensor, expected in zip(cut.state, graph.tap([cut], outputs=False)(x), strict=True):
            torch.testing.assert_close(named[tensor.name], expected)
    torch.testing.assert_close(together[-1], graph.module(x=x)["out"])


def test_without_outputs_nothing_behind_the_cut_is_computed() -> None:
    graph = cut_graph(Chain([block() for _ in range(3)]))
    tap = graph.tap(graph.cuts()[:1], outputs=False)
    assert [name for name, _ in tap.named_parameters()] == ["blocks.0.0.weight"]


def test_the_whole_network_can_be_had_as_a_trainable_copy() -> None:
    module, graph = masked_graph()
    whole = graph.suffix(None)
    x, mask = rows(2, (7, WIDTH)), torch.ones(2, 7, dtype=torch.int64)
    with torch.no_grad():
        expected = module(x, mask)
        for name, value in whole(x, mask).items():
            torch.testing.assert_close(value, expected[name])
    copies = {name.removeprefix("graph_module."): p for name, p in whole.named_parameters()}
    assert set(copies) == {name for name, _ in module.named_parameters()}
    assert all(p.requires_grad for p in copies.values())


def test_training_behind_the_cut_leaves_the_network_alone() -> None:
    module = Chain([block() for _ in range(3)])
    graph = cut_graph(module)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for cut in (None, graph.cuts()[0]):
        suffix = graph.suffix(cut)
        with torch.no_grad():
            for parameter in suffix.parameters():
                parameter.add_(1.0)
        fresh = dict(graph.suffix(cut).named_parameters())
        assert not any(torch.equal(p, fresh[name]) for name, p in suffix.named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def stage(depth: int) -> nn.Module:
    return nn.Sequential(*[nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()) for _ in range(depth)])


def names_of(module: nn.Module) -> list[str]:
    return [cut.name for cut in cut_graph(module).cuts()]


def test_few_stages_are_cut_at_their_inner_blocks() -> None:
    assert names_of(Chain([stage(1), stage(2), stage(2)])) == ["blocks.1", "blocks.1.1", "blocks.2", "blocks.2.1"]


def test_many_stages_are_cut_between_them() -> None:
    assert names_of(Chain([stage(2) for _ in range(6)])) == [f"blocks.{i}" for i in range(1, 6)]


def test_parts_of_several_types_are_no_blocks() -> None:
    assert names_of(Chain([nn.Sequential(block(), PreActivation()), block(), block()])) == ["blocks.1", "blocks.2"]


def test_layers_are_units_where_there_are_no_blocks() -> None:
    plain = [nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)]
    assert names_of(Chain(plain)) == ["blocks.2", "blocks.4"]


class Fixed(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": x.view(3, 2, 2)}


def test_an_axis_that_should_vary_but_cannot_is_an_error() -> None:
    with pytest.raises(ValueError, match="axis 0 of x cannot vary, it must be 3"):
        CutGraph(Fixed(), {"x": torch.zeros(3, WIDTH)}, {"x": {0: torch.export.Dim.AUTO}})
