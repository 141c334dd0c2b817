"""Text folders of every family: what is read, what is saved, and that stock classes answer as the head does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from headstart.backbones.transformers_text import TextBackbone, load
from headstart.errors import ModelError
from headstart.sources.local import describe
from headstart.stock import transformers_texts
from headstart.types import Example

CLASSES = ("one", "two", "three")
# of mixed lengths; the third ends in what decoders are padded with
TEXTS = ["the cat is red", "a dog", "the house is good </s> </s>", "a", "blue tree of the cat runs"]


@dataclass(frozen=True)
class Head:
    weight: np.ndarray
    bias: np.ndarray
    feature: str
    normalisation: str = "raw"


def loaded(folder: Path) -> TextBackbone:
    return load(describe(folder))


def features(backbone: TextBackbone, texts: list[str]) -> dict[str, torch.Tensor]:
    prefix = backbone.prefix(())
    items = [backbone.encode(Example(text, text, None, "", ""), "plain") for text in texts]
    batch = backbone.collate(items)
    with torch.inference_mode():
        values = prefix.module(*(torch.from_numpy(batch[name]) for name in prefix.input_names))
    return dict(zip(prefix.output_names, values))


def head_for(backbone: TextBackbone, feature: str, width: int = 32) -> Head:
    rng = np.random.default_rng(0)
    bias = np.zeros(3) if feature in backbone.without_bias else rng.normal(size=3)
    return Head(rng.normal(size=(3, width)).astype(np.float32), bias.astype(np.float32), feature)


def saved(backbone: TextBackbone, head: Head, folder: Path, tuned: dict[str, torch.Tensor] | None = None) -> str:
    folder.mkdir()
    return backbone.save(folder, tuned or {}, head, CLASSES)


def chances(head: Head, values: torch.Tensor) -> torch.Tensor:
    logits = values @ torch.from_numpy(head.weight).T + torch.from_numpy(head.bias)
    return logits.double().softmax(-1)


@pytest.mark.parametrize("family", tiny.TEXT_FAMILIES)
def test_the_stock_loader_answers_as_the_head_on_our_features(family: str, tmp_path: Path) -> None:
    backbone = loaded(tiny.text_model(tmp_path / "model", family))
    assert set(backbone.features) == ({"mean", "native"} if family in ("bert", *tiny.DECODERS) else {"mean"})
    for feature in backbone.features:
        head = head_for(backbone, feature)
        layout = saved(backbone, head, tmp_path / feature)
        assert layout == ("native" if feature == "native" else "portable")
        wanted = chances(head, features(backbone, TEXTS)[feature])
        rows = list(transformers_texts.predict(transformers_texts.load(str(tmp_path / feature)), TEXTS, features=True))
        found = torch.tensor([[row["probabilities"][name] for name in CLASSES] for row in rows])
        assert float((found - wanted).abs().max()) < 1e-5
        assert np.allclose([row["features"] for row in rows], features(backbone, TEXTS)[feature], atol=1e-4)


@pytest.mark.parametrize("family", tiny.DECODERS)
def test_a_decoder_is_saved_as_a_stock_classifier_that_knows_its_padding(family: str, tmp_path: Path) -> None:
    """The tiny tokenizers have no padding token and would pad on the left."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    backbone = loaded(tiny.text_model(tmp_path / "model", family))
    assert backbone.features[0] == "native"
    head = head_for(backbone, "native")
    saved(backbone, head, tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    stock: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert stock.config.pad_token_id == tokenizer.pad_token_id == tokenizer.eos_token_id
    assert tokenizer.padding_side == "right"
    with torch.inference_mode():
        found = stock(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits.double().softmax(-1)
    assert float((found - chances(head, features(backbone, TEXTS)["native"])).abs().max()) < 1e-5


def test_a_head_with_a_bias_cannot_be_saved_as_a_decoder_s(tmp_path: Path) -> None:
    backbone = loaded(tiny.text_model(tmp_path / "model", "gpt2"))
    head = head_for(backbone, "native")
    with pytest.raises(AssertionError, match="without a bias"):
        saved(backbone, Head(head.weight, head.bias + 1, "native"), tmp_path / "saved")


def test_a_tuned_weight_with_two_names_is_saved_under_both(tmp_path: Path) -> None:
    """T5's token embedding has an alias, and the old value under it would win in a state dict."""
    backbone = loaded(tiny.text_model(tmp_path / "model", "t5"))
    named = dict(backbone.model.named_parameters())
    assert "shared.weight" in named
    tuned = {"model.shared.weight": named["shared.weight"] + 1}
    saved(backbone, head_for(backbone, "mean"), tmp_path / "saved", tuned)
    again = loaded(tmp_path / "saved")
    torch.testing.assert_close(again.model.get_input_embeddings().weight, tuned["model.shared.weight"])
    assert type(again.model).__name__ == "T5EncoderModel"


def test_a_pooler_that_was_not_pretrained_is_not_used(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM, BertModel

    folder = tiny.text_model(tmp_path / "model")
    BertForMaskedLM(BertModel.from_pretrained(folder).config).save_pretrained(folder)
    backbone = loaded(folder)
    assert backbone.features == ("mean",)
    assert loaded(folder).key == backbone.key  # nothing drawn at random is part of it
    assert backbone.randomised(0, []).features == ("mean",)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny.text_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    del weights[name]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=rf"lacks 1 weights .* such as {name}. Get the folder again"):
        loaded(folder)


def test_an_encoder_decoder_without_an_encoder_of_its_own_is_refused(tmp_path: Path) -> None:
    import shutil

    from transformers import BartConfig, BartModel

    folder = tiny.text_model(tmp_path / "model")
    shutil.copytree(folder, tmp_path / "bart")
    settings = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
                "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}  # fmt: skip
    BartModel(BartConfig(vocab_size=40, **settings)).save_pretrained(tmp_path / "bart")
    with pytest.raises(ModelError, match="bart model, an encoder-decoder; text classification takes encoders"):
        loaded(tmp_path / "bart")


def test_positions_limit_the_length(tmp_path: Path) -> None:
    assert loaded(tiny.text_model(tmp_path / "gpt2", "gpt2")).max_tokens == 64
    # RoBERTa counts positions from behind the padding token's
    assert loaded(tiny.text_model(tmp_path / "roberta", "roberta")).max_tokens == 64


@pytest.mark.parametrize(("family", "name", "tokenizer"), [("deberta", "spm.model", "DebertaV2Tokenizer"),
                                                           ("t5", "spiece.model", "T5Tokenizer")])  # fmt: skip
def test_a_sentencepiece_file_stands_for_the_tokenizer(family: str, name: str, tokenizer: str, tmp_path: Path) -> None:
    """As in DeBERTa-v3's and mT5's folders, which hold no tokenizer.json."""
    folder = tiny.text_model(tmp_path / "model", family)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink()
    tiny.sentencepiece_file(folder / name)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer}))
    backbone = loaded(folder)
    pieces = backbone.tokenizer.convert_ids_to_tokens(
        backbone.encode(Example("", "red cat", None, "", ""), "plain")["input_ids"].tolist()
    )
    assert "\u2581red" in pieces and "\u2581cat" in pieces
