"""Converted folders load through stock timm and transformers and compute the same."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from headstart.errors import ModelError
from headstart.sources import convert, ctranslate2
from headstart.stock import torchvision_ops


@pytest.fixture(scope="module", autouse=True)
def torchvision():
    torchvision_ops.ensure()


def test_efficientnet_lite_maps_by_position(tmp_path):
    import timm
    import torch

    reference = timm.create_model("tf_efficientnet_lite0").eval()
    renamed = {f"their_name_{n}": value for n, value in enumerate(reference.state_dict().values())}
    torch.save(renamed, tmp_path / "weights.pth")
    convert.convert_efficientnet_lite(tmp_path / "weights.pth", tmp_path / "out", "tf_efficientnet_lite0")

    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(images), reference(images))
    theirs, ours = (timm.data.resolve_model_data_config(which) for which in (reference, model))
    assert json.loads(json.dumps(theirs)) == ours  # JSON turns tuples into lists
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["architecture"], config["num_classes"], config["num_features"]) == (
        "tf_efficientnet_lite0",
        1000,
        1280,
    )


def test_efficientnet_weights_of_another_size_are_refused(tmp_path):
    import timm
    import torch

    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="shapes of tf_efficientnet_lite2"):
        convert.convert_efficientnet_lite(tmp_path / "weights.pth", tmp_path / "out", "tf_efficientnet_lite2")
    assert not (tmp_path / "out").exists()


def tiny_whisper():
    """A random Whisper with English-only token numbers, its weights exact in float16."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    sizes = {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 32, "encoder_layers": 2, "decoder_layers": 1}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    return WhisperForConditionalGeneration(WhisperConfig(vocab_size=51864, **sizes, **heads)).half().float().eval()


def block_of(state, prefix, attentions):
    """One layer's tensors under CTranslate2's names. attentions: their name, our name, whether q, k, v are fused."""
    named = {}
    for theirs, ours, fused in attentions:
        q, k, v, out = (f"{prefix}.{ours}.{kind}_proj" for kind in ("q", "k", "v", "out"))
        no_bias = np.zeros_like(state[f"{v}.bias"])
        keys = [
            np.concatenate([state[f"{k}.weight"], state[f"{v}.weight"]]),
            np.concatenate([no_bias, state[f"{v}.bias"]]),
        ]
        query = [state[f"{q}.weight"], state[f"{q}.bias"]]
        linears = [[np.concatenate(pair) for pair in zip(query, keys)]] if fused else [query, keys]
        linears.append([state[f"{out}.weight"], state[f"{out}.bias"]])
        for n, (weight, bias) in enumerate(linears):
            named[f"{theirs}/linear_{n}/weight"], named[f"{theirs}/linear_{n}/bias"] = weight, bias
        norm = f"{prefix}.{ours}_layer_norm"
        named[f"{theirs}/layer_norm/gamma"], named[f"{theirs}/layer_norm/beta"] = (
            state[f"{norm}.weight"],
            state[f"{norm}.bias"],
        )
    for n, ours in enumerate(("fc1", "fc2")):
        named[f"ffn/linear_{n}/weight"], named[f"ffn/linear_{n}/bias"] = (
            state[f"{prefix}.{ours}.weight"],
            state[f"{prefix}.{ours}.bias"],
        )
    norm = f"{prefix}.final_layer_norm"
    named["ffn/layer_norm/gamma"], named["ffn/layer_norm/beta"] = state[f"{norm}.weight"], state[f"{norm}.bias"]
    return named


def as_ctranslate2(model):
    """The tensors of a transformers Whisper as CTranslate2 stores them."""
    state = {name: value.numpy().astype(np.float16) for name, value in model.model.state_dict().items()}
    tensors = {
        "decoder/embeddings/weight": state["decoder.embed_tokens.weight"],
        "decoder/scale_embeddings": np.int8(0),
    }
    for part in ("encoder", "decoder"):
        tensors[f"{part}/num_heads"] = np.int16(2)
        tensors[f"{part}/position_encodings/encodings"] = state[f"{part}.embed_positions.weight"]
        tensors[f"{part}/layer_norm/gamma"] = state[f"{part}.layer_norm.weight"]
        tensors[f"{part}/layer_norm/beta"] = state[f"{part}.layer_norm.bias"]
        attentions = [("self_attention", "self_attn", True)]
        if part == "decoder":
            attentions.append(("attention", "encoder_attn", False))
        for n in range(len(model.get_submodule(f"model.{part}.layers"))):
            block = block_of(state, f"{part}.layers.{n}", attentions)
            tensors.update({f"{part}/layer_{n}/{name}": value for name, value in block.items()})
    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            tensors[f"encoder/{conv}/{kind}"] = state[f"encoder.{conv}.{kind}"]
    return tensors


def write_ctranslate2(path, tensors, spec="WhisperSpec"):
    def text(value):
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    out = [struct.pack("<I", 6), text(spec), struct.pack("<II", 3, len(tensors))]
    for name, value in tensors.items():
        value = np.asarray(value)
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        out += [text(name), shape, struct.pack("<BI", codes[value.dtype.name], value.nbytes), value.tobytes()]
    path.write_bytes(b"".join(out))


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct2")
    write_ctranslate2(folder / "model.bin", as_ctranslate2(tiny_whisper()))
    settings = {"suppress_ids": [1, 2], "suppress_ids_begin": [220, 50256], "alignment_heads": [[0, 1]]}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_converted_whisper_computes_the_same(whisper_folder, tmp_path):
    import torch
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    convert.convert_ctranslate2_whisper(whisper_folder, tmp_path)
    model = WhisperForConditionalGeneration.from_pretrained(tmp_path).eval()
    sound = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[50257, 50362, 5, 7]])
    with torch.no_grad():
        expected = tiny_whisper()(sound, decoder_input_ids=tokens).logits
        assert torch.equal(model(sound, decoder_input_ids=tokens).logits, expected)
    assert model.dtype == torch.float32
    extractor = WhisperFeatureExtractor.from_pretrained(tmp_path)
    assert (extractor.feature_size, extractor.sampling_rate) == (80, 16000)


def test_a_converted_whisper_starts_as_english_without_timestamps(whisper_folder, tmp_path):
    import torch
    from transformers import WhisperForConditionalGeneration

    convert.convert_ctranslate2_whisper(whisper_folder, tmp_path)
    model = WhisperForConditionalGeneration.from_pretrained(tmp_path).eval()
    made = model.generate(torch.zeros(1, 80, 3000), max_new_tokens=3, return_dict_in_generate=True)
    starts = model._retrieve_init_tokens(torch.zeros(1, 80, 3000), 1, model.generation_config, model.config, 3000, {})
    assert starts.tolist() == [[50257, 50362]]
    assert not {1, 2} & set(made.sequences[0].tolist())
    settings = model.generation_config
    assert settings.suppress_tokens == [1, 2]
    assert settings.begin_suppress_tokens == [220, 50256]
    assert settings.alignment_heads == [[0, 1]]


def test_reading_returns_name_shape_and_values(tmp_path):
    tensors = {"a/b": np.arange(6, dtype=np.float16).reshape(2, 3), "flag": np.int8(3)}
    write_ctranslate2(tmp_path / "model.bin", tensors, spec="AnySpec")
    spec, found = ctranslate2.read_tensors(tmp_path / "model.bin")
    assert spec == "AnySpec"
    assert found["a/b"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["flag"] == 3


@pytest.mark.parametrize("kept_bytes", [3, 40, 60])
def test_a_cut_file_is_an_error(tmp_path, kept_bytes):
    path = tmp_path / "model.bin"
    write_ctranslate2(path, {"name": np.zeros((8, 8), np.float32)})
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(ModelError, match="complete CTranslate2"):
        ctranslate2.read_tensors(path)


def test_a_tensor_without_counterpart_is_an_error():
    with pytest.raises(ModelError, match="encoder/layer_0/odd/weight"):
        ctranslate2.whisper_state({"encoder/layer_0/odd/weight": np.zeros(2, np.float32)})


def test_another_kind_of_model_is_an_error(tmp_path):
    write_ctranslate2(tmp_path / "model.bin", {}, spec="TransformerSpec")
    with pytest.raises(ModelError, match="TransformerSpec"):
        convert.convert_ctranslate2_whisper(tmp_path, tmp_path / "out")
