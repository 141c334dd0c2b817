"""Low-rank changes start at nothing, train little, and leave an ordinary network with a change of low rank."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.fx import GraphModule

from headstart.errors import SettingError
from headstart.training.lora import RANK, SMALLEST, add_lora, merge_lora

WIDTH = SMALLEST


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(WIDTH, WIDTH)
        self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.body(x + self.embedding.weight[0]))
        return out


def test_before_training_nothing_has_changed_and_little_may() -> None:
    net, plain = _Net(), _Net()
    x = torch.randn(3, WIDTH)
    frozen = add_lora(net, seed=0)
    assert torch.equal(net(x), plain(x))
    assert set(frozen) == {"embedding.weight", "body.0.weight", "body.2.weight"}
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    assert {"head.weight", "head.bias", "body.0.bias", "body.1.weight"} <= trained
    assert "embedding.weight" not in trained
    low_rank = sum(p.numel() for n, p in net.named_parameters() if "parametrizations" in n and p.requires_grad)
    assert low_rank == 2 * RANK * WIDTH  # body.2 has too few rows


def test_merged_weights_have_their_names_back_and_a_change_of_low_rank() -> None:
    net, plain = _Net(), _Net()
    x = torch.randn(32, WIDTH)
    frozen = add_lora(net, seed=0)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    trained = net(x)
    merge_lora(net, frozen)
    assert torch.allclose(net(x), trained, atol=1e-5)
    assert set(net.state_dict()) == set(plain.state_dict())
    assert all(p.requires_grad for p in net.parameters())
    change = net.state_dict()["body.0.weight"] - plain.state_dict()["body.0.weight"]
    assert 1 <= int(torch.linalg.matrix_rank(change, atol=1e-5)) <= RANK
    assert torch.equal(net.embedding.weight, plain.embedding.weight)


def test_without_lora_merging_does_nothing() -> None:
    net = _Net()
    net.embedding.weight.requires_grad_(False)
    merge_lora(net, [])
    assert not net.embedding.weight.requires_grad


def test_a_network_without_a_large_matrix_is_refused() -> None:
    with pytest.raises(SettingError, match=r"none\. Use --depth all"):
        add_lora(nn.Sequential(nn.Linear(4, 4)), 0)


class _Blocks(nn.Module):
    """Products with and without bias, one matrix that is used twice, one that is transposed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(WIDTH, WIDTH + 8)
        self.second = nn.Linear(WIDTH + 8, WIDTH, bias=False)
        self.twice = nn.Linear(WIDTH, WIDTH)
        self.turned = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.second(torch.relu(self.first(x)))
        return {"out": self.twice(torch.relu(self.twice(x))) @ self.turned.weight}


def test_beside_the_products_of_a_graph_training_ends_where_parametrised_weights_do() -> None:
    from headstart.backbones.graph_export import export_graph

    x, exported = torch.randn(16, WIDTH), export_graph(_Blocks(), {"x": torch.randn(2, WIDTH)}, {})
    graph = GraphModule(exported, copy.deepcopy(exported.graph))
    plain = _Blocks()
    graph.load_state_dict(plain.state_dict())
    inputs = x[:2]
    before, merged = graph.code, []
    for net in (graph, plain):
        frozen = add_lora(net, seed=0)
        named = {name for name, p in net.named_parameters() if p.requires_grad}
        assert ("lora_0_a" in named) == (net is graph)  # the others of the graph are parametrised
        optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.05)
        for _ in range(5):
            optimizer.zero_grad()
            net(x=inputs)["out"].square().mean().backward()
            assert (
                net.get_parameter(frozen[0] if net is graph else "first.parametrizations.weight.original").grad is None
            )
            optimizer.step()
        trained = net(x=inputs)["out"]
        merge_lora(net, frozen)
        torch.testing.assert_close(net(x=inputs)["out"], trained, rtol=1e-4, atol=1e-5)
        merged.append(net.state_dict())
    assert graph.code == before
    assert set(merged[0]) == set(merged[1])
    for name, value in merged[0].items():
        torch.testing.assert_close(value, merged[1][name], rtol=1e-4, atol=1e-5)
