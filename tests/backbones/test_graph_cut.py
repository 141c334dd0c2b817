"""Cutting a network changes nothing: behind every cut the answers and gradients are the whole network's."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from headstart.backbones.graph_cut import Cut, CutGraph
from headstart.backbones.timm import _Named
from headstart.backbones.transformers_text import _Pooled
from headstart.stock import torchvision_ops

SIZES = {"test_resnet": 64, "test_vit": 160, "test_efficientnet": 64}
PLACES = {"first": 0, "middle": 0.5, "last": 1}


class _InPlace(nn.Module):
    """Numbered layers that overwrite their input, as VGG's do."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(3, 4, 3), nn.SiLU(inplace=True), nn.Conv2d(4, 4, 3), nn.SiLU(inplace=True)]
        self.features = nn.Sequential(*convolutions, nn.Conv2d(4, 4, 3))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"native": self.features(image).mean((2, 3))}  # (B, 3, H, W) -> (B, 4)


def randomised(module: nn.Module) -> nn.Module:
    """Every weight counts: zero-initialised branches would hide a fault."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@cache
def images_graph(name: str) -> tuple[nn.Module, CutGraph]:
    torchvision_ops.ensure()
    import timm

    torch.manual_seed(0)
    named = randomised(_InPlace() if name == "in_place" else _Named(timm.create_model(name, num_classes=0)))
    size = SIZES.get(name, 16)
    shapes = {"image": {0: torch.export.Dim("batch", min=1, max=64)}}
    return named, CutGraph(named, {"image": torch.zeros(2, 3, size, size)}, shapes)


@cache
def text_graph() -> tuple[nn.Module, CutGraph]:
    torchvision_ops.ensure()
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    config._attn_implementation = "sdpa"
    pooled = randomised(_Pooled(BertModel(config), True))
    mask = torch.ones(3, 16, dtype=torch.int64)
    mask[1, 9:] = 0
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("tokens", min=2, max=32)}
    inputs = {"input_ids": torch.ones_like(mask), "attention_mask": mask}
    shapes = {"input_ids": dims, "attention_mask": dims}
    return pooled, CutGraph(pooled, inputs, shapes, persistent=("attention_mask",))


def cut_at(graph: CutGraph, place: str) -> Cut:
    cuts = graph.cuts()
    return cuts[round(PLACES[place] * (len(cuts) - 1))]


def images(name: str, count: int) -> torch.Tensor:
    size = SIZES.get(name, 16)
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(2))


def texts(lengths: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token numbers and mask of texts padded to the longest."""
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.arange(length) * (row + 3) % 19 + 1
        mask[row, :length] = 1
    return ids, mask


def assert_close(ours: torch.Tensor, expected: torch.Tensor) -> None:
    assert ours.shape == expected.shape
    scale = max(float(expected.abs().max()), 1e-6)
    assert float((ours - expected).abs().max()) / scale <= 1e-4


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [*SIZES, "in_place"])
def test_prefix_and_suffix_together_are_the_network(name: str, place: str) -> None:
    model, graph = images_graph(name)
    cut = cut_at(graph, place)
    tap, suffix = graph.tap([cut]), graph.suffix(cut)
    for count in (1, 5):  # exported with 2
        batch = images(name, count)
        with torch.no_grad():
            expected = model(batch)["native"]
            state, native = tap(batch)
            assert_close(native, expected)
            assert_close(suffix(state)["native"], expected)


@pytest.mark.parametrize("place", PLACES)
def test_the_mask_is_rebuilt_behind_the_cut(place: str) -> None:
    model, graph = text_graph()
    cut = cut_at(graph, place)
    tap, suffix = graph.tap([cut]), graph.suffix(cut)
    for lengths in ((21, 5, 13, 2, 9), (4,), (7, 7)):  # exported with 3 texts of 16 tokens
        ids, mask = texts(lengths)
        with torch.no_grad():
            expected = model(ids, mask)
            state, *_ = tap(ids, mask)
            found = suffix(state, mask)
        assert set(found) == {"mean", "native"}
        for feature, values in found.items():
            assert_close(values, expected[feature])


def test_padding_never_changes_an_example() -> None:
    _, graph = text_graph()
    cut = cut_at(graph, "last")
    tap, suffix = graph.tap([cut]), graph.suffix(cut)
    lengths = (21, 5, 13, 2)
    ids, mask = texts(lengths)
    with torch.no_grad():
        state, *_ = tap(ids, mask)
        together = suffix(state, mask)
        for row, length in enumerate(lengths):
            alone = mask[row : row + 1, :length]
            state_alone, *_ = tap(ids[row : row + 1, :length], alone)
            assert_close(state[row : row + 1, :length], state_alone)
            for feature, values in suffix(state_alone, alone).items():
                assert_close(together[feature][row : row + 1], values)


def gradients(module: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    named = {n: p for n, p in module.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {n.removeprefix("graph_module."): g for n, g in zip(named, found) if g is not None}


def loss_of(outputs: dict[str, torch.Tensor]) -> torch.Tensor:
    return sum((o.square().mean() for o in outputs.values()), torch.zeros(()))


@pytest.mark.parametrize("name", [*SIZES, "bert"])
def test_gradients_behind_the_cut_are_the_whole_network_s(name: str) -> None:
    model, graph = text_graph() if name == "bert" else images_graph(name)
    cut = cut_at(graph, "last")
    inputs: Any = texts((9, 4, 6)) if name == "bert" else (images(name, 3),)
    whole = gradients(model, loss_of(model(*inputs)))
    with torch.no_grad():
        state, *_ = graph.tap([cut])(*inputs)
    suffix = graph.suffix(cut)
    behind = gradients(suffix, loss_of(suffix(state, *inputs[1:])))
    assert behind
    for parameter, gradient in behind.items():
        assert_close(gradient, whole[parameter])


@pytest.mark.parametrize("name", [*SIZES, "bert"])
def test_parameters_behind_the_cut_have_the_network_s_names(name: str) -> None:
    model, graph = text_graph() if name == "bert" else images_graph(name)
    cut = cut_at(graph, "last")
    weights = model.state_dict()
    found = {n.removeprefix("graph_module."): v for n, v in graph.suffix(cut).state_dict().items()}
    behind = {n: v for n, v in found.items() if n in dict(model.named_parameters())}
    assert behind
    assert all(torch.equal(value, weights[parameter]) for parameter, value in behind.items())
    share = sum(v.numel() for v in behind.values()) / sum(p.numel() for p in model.parameters())
    assert share == pytest.approx(cut.suffix_share, abs=0.01)


def test_training_behind_the_cut_leaves_the_network_alone() -> None:
    model, graph = images_graph("test_vit")
    before = {n: v.clone() for n, v in model.state_dict().items()}
    suffix = graph.suffix(cut_at(graph, "last"))
    with torch.no_grad():
        for parameter in suffix.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert all(torch.equal(v, before[n]) for n, v in graph.module.state_dict().items() if n in before)
    fresh = dict(graph.suffix(cut_at(graph, "last")).named_parameters())
    assert not any(torch.equal(p, fresh[n]) for n, p in suffix.named_parameters())


def test_cuts_move_from_the_input_to_the_output() -> None:
    _, graph = images_graph("test_vit")
    cuts = graph.cuts()
    assert [c.name for c in cuts] == [f"model.blocks.{i}" for i in range(1, 6)]
    shares = [c.suffix_share for c in cuts]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < shares[0] < 1
