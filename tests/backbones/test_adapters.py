"""In every family, at every cut: prefix and suffix are the whole network, alone, padded, and in training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import families
import pytest
import torch
from families import EQUAL_LENGTHS, FAMILIES, IMAGE_SIZES, LENGTHS, TARGETS, TIMM
from torch import nn

from headstart.backbones.adapters import Adapter, adapter_for
from headstart.backbones.graph_cut import Cut, CutGraph, distinct_tensors
from headstart.backbones.places import tapped
from headstart.errors import ModelError
from headstart.runtime.openvino import compile_openvino, convert

pytestmark = pytest.mark.slow  # some 25 exports: two minutes

PADDED = [
    "bert", "roberta", "distilbert", "deberta-v2", "modernbert", "gpt2", "llama", "t5", "t5-seq2seq", "bart", "marian",
    "whisper", "wav2vec2-layer", "hubert", "wavlm",
]  # fmt: skip
# the first and the last cut
CUTS = {
    "test_resnet": ("layer2.0", "layer4.0"),
    "vgg11": ("features.3", "features.18"),
    "tf_efficientnet_lite0": ("blocks.1", "blocks.6"),
    "mobilenetv3_small_050": ("blocks.1", "blocks.5"),
    "test_convnext": ("stages.1", "stages.3.blocks.1"),
    "test_vit": ("blocks.1", "blocks.5"),
    "swin_tiny_patch4_window7_224": ("layers.1", "layers.2.blocks.0"),
    "bert": ("encoder.layer.1", "encoder.layer.2"),
    "roberta": ("encoder.layer.1", "encoder.layer.2"),
    "distilbert": ("transformer.layer.1", "transformer.layer.2"),
    "deberta-v2": ("encoder.layer.1", "encoder.layer.2"),
    "modernbert": ("layers.1", "layers.2"),
    "gpt2": ("h.1", "h.2"),
    "llama": ("layers.1", "layers.2"),
    "t5": ("encoder.block.1", "encoder.block.2"),
    "t5-seq2seq": ("encoder.block.1", "decoder.block.1"),
    "bart": ("model.encoder.layers.1", "model.decoder.layers.1"),
    "marian": ("model.encoder.layers.1", "model.decoder.layers.1"),
    "whisper": ("model.encoder.layers.1", "model.decoder.layers.1"),
    "wav2vec2-layer": ("encoder.layers.0", "encoder.layers.1"),
    "wav2vec2-group": ("encoder.layers.0", "encoder.layers.1"),
    "hubert": ("encoder.layers.0", "encoder.layers.1"),
    "wavlm": ("encoder.layers.0", "encoder.layers.1"),
    "ast": ("layers.1", "layers.2"),
    "whisper-encoder": ("layers.1", "layers.1"),
}


@cache
def cut_family(family: str) -> tuple[Adapter, CutGraph]:
    size = IMAGE_SIZES.get(family, 32)
    adapter = adapter_for(families.build(family), (3, size, size) if family in TIMM else None)
    return adapter, adapter.graph()


@cache
def taken_apart(family: str) -> tuple[dict[str, torch.Tensor], list[tuple[Cut, list[torch.Tensor]]]]:
    """A batch, and the state at every cut."""
    adapter, graph = cut_family(family)
    batch = families.batch(adapter.inputs, EQUAL_LENGTHS if adapter.padding_changes else LENGTHS)
    return batch, list(states(graph, batch))


def states(graph: CutGraph, batch: dict[str, torch.Tensor]) -> Iterator[tuple[Cut, list[torch.Tensor]]]:
    cuts = graph.cuts()
    with torch.no_grad():
        tensors = list(graph.tap(cuts, outputs=False)(*batch.values()))
    named = dict(zip([tensor.name for tensor in distinct_tensors(cuts)], tensors, strict=True))
    for cut in cuts:
        yield cut, [named[tensor.name] for tensor in cut.state]


def behind(suffix: nn.Module, adapter: Adapter, state: list[torch.Tensor], batch: dict[str, torch.Tensor]) -> Any:
    return suffix(*state, *(batch[name] for name in adapter.persistent))


def assert_close(ours: torch.Tensor, expected: torch.Tensor, what: str = "", tolerance: float = 1e-4) -> None:
    assert ours.shape == expected.shape, what
    scale = max(float(expected.abs().max()), 1e-6)
    assert float((ours - expected).abs().max()) / scale <= tolerance, what


def own_name(name: str) -> str:
    return name.removeprefix("graph_module.")


@pytest.mark.parametrize("family", FAMILIES)
def test_behind_every_cut_the_answers_are_the_network_s(family: str) -> None:
    adapter, graph = cut_family(family)
    batch, taken = taken_apart(family)
    with torch.no_grad():
        expected = adapter.module(**batch)
        whole = graph.suffix(None)(*batch.values())
        assert set(whole) == set(expected)
        for name, values in expected.items():
            assert torch.isfinite(values).all()
            assert_close(whole[name], values)
        for cut, state in taken:
            found = behind(graph.suffix(cut), adapter, state, batch)
            for name, values in expected.items():
                assert_close(found[name], values, f"{name} behind {cut.name}")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cuts_are_the_family_s_blocks(family: str) -> None:
    _, graph = cut_family(family)
    cuts = graph.cuts()
    names = [cut.name.removeprefix("model.") for cut in cuts]
    assert (names[0], names[-1]) == CUTS[family]
    assert len(set(names)) == len(names)
    for shares in ([c.suffix_share for c in cuts], [c.compute_share for c in cuts]):
        assert shares == sorted(shares, reverse=True)
        assert 0 < shares[-1] <= shares[0] < 1


@pytest.mark.parametrize("family", PADDED)
def test_an_example_alone_equals_itself_in_a_batch(family: str) -> None:
    adapter, graph = cut_family(family)
    assert not adapter.padding_changes
    batch, taken = taken_apart(family)
    with torch.no_grad():
        together = adapter.module(**batch)
        for row in range(len(LENGTHS)):
            single = families.alone(batch, row)
            shapes = {name: tuple(value.shape[1:]) for name, value in single.items()}
            for (cut, in_batch), (_, own) in zip(taken, states(graph, single)):
                assert graph.state_shapes(cut, shapes) == tuple(tuple(tensor.shape[1:]) for tensor in own)
                for described, padded, tensor in zip(cut.state, in_batch, own):
                    trimmed = padded[row]
                    for axis in described.ragged:
                        trimmed = trimmed.narrow(axis, 0, tensor.shape[axis + 1])
                    assert_close(trimmed, tensor[0], f"{described.name} of row {row} at {cut.name}")
            for name, values in adapter.module(**single).items():
                trimmed = together[name][row]
                assert_close(trimmed[: TARGETS[row]] if name == "logits" else trimmed, values[0], f"{name} of {row}")


@pytest.mark.parametrize("family", FAMILIES)
def test_training_behind_a_cut_is_training_with_the_prefix_frozen(family: str) -> None:
    adapter, graph = cut_family(family)
    batch, taken = taken_apart(family)
    read = influences(adapter, graph, {name: value[:1] for name, value in batch.items()})
    named = trainable(adapter.module)
    whole = dict(zip(named, torch.autograd.grad(loss(adapter.module(**batch)), [*named.values()], allow_unused=True)))
    for cut, state in taken:
        suffix = graph.suffix(cut)
        trained = {own_name(n): p for n, p in trainable(suffix).items()}
        assert set(trained) == {n for n, gradient in whole.items() if gradient is not None} - read[cut], cut.name
        value = loss(behind(suffix, adapter, state, batch))
        for name, gradient in zip(trained, torch.autograd.grad(value, [*trained.values()])):
            # float32 sums in another order; a bias before softmax has no gradient but rounding
            scale = max(float(g.abs().max()) for g in whole.values() if g is not None)
            assert float((gradient - whole[name]).abs().max()) <= 1e-4 * float(whole[name].abs().max()) + 1e-6 * scale


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On networks this small, threads cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Without what never trains: Whisper's and Marian's tables of sines are parameters too."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def influences(adapter: Adapter, graph: CutGraph, batch: dict[str, torch.Tensor]) -> dict[Cut, set[str]]:
    """For each cut the names of the parameters that its state depends on, as autograd sees it."""
    named = trainable(adapter.module)
    cuts = graph.cuts()
    names = [tensor.name for tensor in distinct_tensors(cuts)]
    tensors = dict(zip(names, graph.tap(cuts, outputs=False)(*batch.values()), strict=True))
    found: dict[Cut, set[str]] = {}
    for cut in cuts:
        total = sum((tensors[tensor.name].sin().sum() for tensor in cut.state), torch.zeros(()))
        gradients = torch.autograd.grad(total, [*named.values()], allow_unused=True, retain_graph=True)
        found[cut] = {name for name, gradient in zip(named, gradients) if gradient is not None}
    return found


def loss(outputs: dict[str, torch.Tensor]) -> torch.Tensor:
    return sum((o.square().mean() for o in outputs.values()), torch.zeros(()))


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_behind_a_cut_keep_their_names_and_values(family: str) -> None:
    adapter, graph = cut_family(family)
    named = dict(adapter.module.named_parameters())
    for cut in graph.cuts():
        found = {own_name(name): value for name, value in graph.suffix(cut).named_parameters()}
        assert found
        assert all(torch.equal(value, named[name]) for name, value in found.items())
        assert not any(value.data_ptr() == named[name].data_ptr() for name, value in found.items())


@pytest.mark.parametrize("family", ["t5-seq2seq", "bart", "marian", "whisper"])
def test_an_encoder_s_output_is_all_that_its_decoder_needs(family: str) -> None:
    adapter, graph = cut_family(family)
    cut = next(c for c in graph.cuts() if "decoder" in c.name)
    assert cut.name.endswith(".0")
    assert len(cut.state) == 1
    embedding = {"whisper": "model.model.decoder.embed_tokens.weight", "t5-seq2seq": "model.shared.weight"}
    name = embedding.get(family, "model.model.shared.weight")
    assert name in dict(adapter.module.named_parameters())
    trains = {own_name(n): p.requires_grad for n, p in graph.suffix(cut).named_parameters()}
    # Whisper's encoder reads no tokens, so the embedding belongs to the decoder alone
    assert trains[name] == (family == "whisper")


@pytest.mark.parametrize("family", ["t5-seq2seq", "gpt2"])
def test_a_pass_for_several_cuts_converts(family: str) -> None:
    """Cuts inside one decoder share the encoder's output; a decoder by itself has a cache that it must not join."""
    adapter, graph = cut_family(family)
    cuts = graph.cuts()
    assert sum(len(cut.state) for cut in cuts) > len(distinct_tensors(cuts)) or family == "gpt2"
    batch = {name: value.numpy() for name, value in families.batch(adapter.inputs, LENGTHS).items()}
    prefix = tapped(graph, cuts, adapter.dynamic_shapes)
    assert len(set(prefix.output_names)) == len(prefix.output_names)
    network = convert(prefix.module, batch, prefix.input_names, prefix.dynamic_shapes, "traced")
    found = compile_openvino(network, prefix.input_names)(batch)
    with torch.no_grad():
        expected = prefix.module(*(torch.from_numpy(batch[name]) for name in prefix.input_names))
    for name, ours, wanted in zip(prefix.output_names, found, expected, strict=True):
        assert_close(torch.from_numpy(ours), wanted, name, 1e-3)


def test_padding_changes_what_a_norm_over_time_sees() -> None:
    adapter, _ = cut_family("wav2vec2-group")
    assert adapter.padding_changes
    wave = families.batch(adapter.inputs, (17,))["input_values"]
    with torch.no_grad():
        plain = adapter.module(wave)["mean"]
        padded = adapter.module(torch.nn.functional.pad(wave, (0, 400)))["mean"]
    assert float((plain - padded).abs().max() / plain.abs().max()) > 1e-3


def test_the_mean_and_the_last_token_ignore_padding() -> None:
    adapter, _ = cut_family("gpt2")
    batch = families.batch(adapter.inputs, LENGTHS)
    with torch.no_grad():
        tokens = adapter.module.model(**batch).last_hidden_state
        found = adapter.module(**batch)
    for row, length in enumerate(LENGTHS):
        assert_close(found["mean"][row], tokens[row, :length].mean(0))
        assert_close(found["native"][row], tokens[row, length - 1])


def test_a_type_without_an_entry_is_taken_as_a_token_encoder() -> None:
    from transformers import ElectraConfig, ElectraModel

    config = ElectraConfig(
        vocab_size=50, embedding_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    adapter = adapter_for(ElectraModel(config).eval())
    graph = adapter.graph()
    assert [cut.name for cut in graph.cuts()] == ["model.encoder.layer.1"]
    assert graph.output_names == ("mean",)


class _Unexportable(nn.Module):
    """Its shape depends on the values it sees."""

    class config:
        model_type = "shape-shifter"
        is_encoder_decoder = False
        max_position_embeddings = 32

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        if int(input_ids.sum()) > 3:
            raise RuntimeError("too much")
        return input_ids


def test_a_model_that_cannot_be_exported_is_named_with_a_way_out() -> None:
    with pytest.raises(ModelError, match=r"shape-shifter model \(_Unexportable\) cannot be exp.*\. Name a model of"):
        adapter_for(_Unexportable()).graph()
