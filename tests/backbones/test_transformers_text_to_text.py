"""Encoder-decoders over tokens: cached states give the whole model's logits; what is saved has the tuned weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from headstart.backbones.transformers_text_to_text import DECODER, TextToTextBackbone, load, prompt_for
from headstart.errors import ModelError
from headstart.sources.local import describe
from headstart.types import Example

TEXTS = ["the red cat", "a dog is good the blue house tree", "good"]


@pytest.fixture(scope="module", params=list(tiny.PAIR_FAMILIES))
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextToTextBackbone:
    return load(describe(tiny.pair_model(tmp_path_factory.mktemp("pairs") / "model", request.param)))


def items(backbone: TextToTextBackbone) -> list[dict[str, Any]]:
    return [dict(backbone.encode(Example(t, t, None, t, t), "plain")) for t in TEXTS]


def states(backbone: TextToTextBackbone) -> list[dict[str, Any]]:
    """Each text's state, computed alone."""
    prefix, found = backbone.prefix((DECODER,)), []
    for item in items(backbone):
        batch = backbone.collate([item])
        with torch.inference_mode():
            (state,) = prefix.module(*(torch.from_numpy(batch[name]) for name in prefix.input_names))
        found.append({"state": state[0, : backbone.length(item)].numpy()})
    return found


def test_cached_states_of_mixed_lengths_give_the_whole_model_s_logits(backbone: TextToTextBackbone) -> None:
    ids = torch.tensor([backbone.token_ids("das rot")] * 3)
    with torch.inference_mode():
        behind = backbone.suffix(DECODER)(*backbone.batch_state(DECODER, states(backbone)), ids)
        whole = backbone.suffix(None)(*backbone.batch_state(None, items(backbone)), ids)
        batch = backbone.collate(items(backbone))
        given = {name: torch.from_numpy(value) for name, value in batch.items()}
        stock = backbone.model(**given, decoder_input_ids=ids).logits
    torch.testing.assert_close(whole, stock)
    torch.testing.assert_close(behind, stock, rtol=1e-4, atol=1e-4)


def test_behind_the_cut_only_what_the_encoder_does_not_use_trains(backbone: TextToTextBackbone) -> None:
    tail: Any = backbone.suffix(DECODER)
    trained = {id(p) for p in tail.parameters() if p.requires_grad}
    assert trained and not trained & {id(p) for p in tail.model.get_encoder().parameters()}
    whole: Any = backbone.suffix(None)
    encoder = list(whole.model.get_encoder().parameters())
    assert sum(p.requires_grad for p in encoder) >= len(encoder) - 1  # Marian's positions are no weights


def test_targets_begin_with_the_start_token_and_end_with_the_end(backbone: TextToTextBackbone) -> None:
    tokens = backbone.token_ids("das rot")
    assert tokens[0] == 0 and tokens[-1] == 1 and len(tokens) == 4


def test_tuned_weights_are_in_what_is_saved_and_it_answers_the_same(
    backbone: TextToTextBackbone, tmp_path: Path
) -> None:
    from headstart.stock import text_to_text

    tail: Any = backbone.suffix(DECODER)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (p for p in tail.parameters() if p.requires_grad):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    backbone.limit_answers(12)
    ours = backbone.generate(backbone.batch_state(DECODER, states(backbone)), tail)
    untouched = backbone.generate(backbone.batch_state(DECODER, states(backbone)))
    assert ours != untouched
    tuned = {name: p.detach() for name, p in tail.named_parameters()}
    assert backbone.save(tmp_path, tuned, None, ()) == "native"
    found = [row["text"] for row in text_to_text.predict(text_to_text.load(str(tmp_path)), TEXTS)]
    assert found == ours
    assert backbone.generate(backbone.batch_state(DECODER, states(backbone))) == untouched  # not changed by saving


def test_random_weights_keep_the_architecture_and_change_the_answers(backbone: TextToTextBackbone) -> None:
    other = backbone.randomised(1, [])
    assert other.key != backbone.key and other.prompt == backbone.prompt
    assert sum(p.numel() for p in other.model.parameters()) == sum(p.numel() for p in backbone.model.parameters())


def test_prompts_come_from_the_configuration_by_task_and_languages() -> None:
    config = SimpleNamespace(
        task_specific_params={
            "summarization": {"prefix": "summarize: "},
            "translation_en_to_de": {"prefix": "translate English to German: "},
        }
    )
    columns = {"input": "translation.en", "target": "translation.de"}
    assert prompt_for(config, "translation", columns) == "translate English to German: "
    assert prompt_for(config, "translation", {"input": "de", "target": "en"}) == ""
    assert prompt_for(config, "summarization", {"input": "document", "target": "summary"}) == "summarize: "
    assert prompt_for(SimpleNamespace(), "summarization", {}) == ""


def test_the_prompt_stands_before_each_text_and_in_what_is_saved(tmp_path: Path) -> None:
    source = describe(tiny.pair_model(tmp_path / "model"))
    backbone = load(source, "summarization", {"input": "document", "target": "summary"})
    plain = load(source)
    (with_prompt,), (without,) = ([b.encode(Example("", "the cat", None, "", ""), "plain")] for b in (backbone, plain))
    assert np.array_equal(with_prompt["input_ids"][2:], without["input_ids"])
    assert backbone.key != plain.key
    backbone.save(tmp_path / "saved", {}, None, ())
    assert load(describe(tmp_path / "saved")).prompt == "summarize : "


def test_models_that_do_not_turn_texts_into_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"encoder-decoders \(T5, BART"):
        load(describe(tiny.text_model(tmp_path / "bert")))


@pytest.mark.parametrize("family", ["nllb", "mbart", "mbart50"])
def test_languages_follow_from_the_columns_and_are_saved(family: str, tmp_path: Path) -> None:
    from headstart.stock import text_to_text

    source = describe(tiny.many_languages_model(tmp_path / "model", family))
    made = load(source, "translation", {"input": "en", "target": "translation.de"})
    assert isinstance(made, TextToTextBackbone)
    english, german = ("eng_Latn", "deu_Latn") if family == "nllb" else ("en_XX", "de_DE")
    assert (made.tokenizer.src_lang, made.tokenizer.tgt_lang) == (english, german)
    tokens = made.tokenizer.convert_ids_to_tokens(made.token_ids("das rot"))
    start = [german] if family == "mbart" else ["</s>", german]
    assert tokens[: len(start)] == start and "</s>" in tokens[2:]
    batch = items(made)
    assert english in made.tokenizer.convert_ids_to_tokens(batch[0]["input_ids"].tolist())
    made.limit_answers(8)
    ours = made.generate(made.batch_state(DECODER, states(made)))
    made.save(tmp_path / "saved", {}, None, ())
    loaded = text_to_text.load(str(tmp_path / "saved"))
    assert [row["text"] for row in text_to_text.predict(loaded, TEXTS)] == ours
    with torch.inference_mode():
        answer = made.model.generate(**{k: torch.from_numpy(v) for k, v in made.collate(batch).items()})
    german_id = made.tokenizer.convert_tokens_to_ids(german)
    assert (answer[:, : len(start)] == german_id).any(1).all()


def test_columns_that_name_no_language_are_told(tmp_path: Path) -> None:
    source = describe(tiny.many_languages_model(tmp_path / "model"))
    with pytest.raises(ModelError, match=r"column 'source' does not name one.*such as en and de"):
        load(source, "translation", {"input": "source", "target": "target"})
    assert load(source, "translation", {"input": "zh", "target": "deu-Latn"}).tokenizer.src_lang == "zho_Hans"


@pytest.mark.parametrize("family", ["marian", "m2m100", "t5"])
def test_folders_with_sentencepiece_files_alone_are_read_and_saved(family: str, tmp_path: Path) -> None:
    from headstart.stock import text_to_text

    source = describe(tiny.sentencepiece_model(tmp_path / "model", family))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        made = load(source, "translation", {"input": "en", "target": "de"})
    assert isinstance(made, TextToTextBackbone)
    again = load(source, "translation", {"input": "en", "target": "de"})
    assert made.key == again.key
    assert made.tokenizer.decode(made.token_ids("das rot"), skip_special_tokens=True) == "das rot"
    made.limit_answers(8)
    ours = made.generate(made.batch_state(DECODER, states(made)))
    made.save(tmp_path / "saved", {}, None, ())
    loaded = text_to_text.load(str(tmp_path / "saved"))
    assert [row["text"] for row in text_to_text.predict(loaded, TEXTS)] == ours
    if family == "m2m100":
        german = made.tokenizer.get_lang_id("de")
        assert made.token_ids("das")[:2] == [2, german] and made.model.generation_config.forced_bos_token_id == german


def test_a_model_for_several_languages_is_told_the_target_s_before_each_text(tmp_path: Path) -> None:
    source = describe(tiny.sentencepiece_model(tmp_path / "model", "marian", ("deu", "fra", "pt_BR")))
    made = load(source, "translation", {"input": "en", "target": "translation.de"})
    assert isinstance(made, TextToTextBackbone)
    first = made.encode(Example("", "the cat", None, "", ""), "plain")["input_ids"][0]
    assert made.tokenizer.convert_ids_to_tokens(int(first)) == ">>deu<<" and made.prompt == ">>deu<< "
    assert load(source, "translation", {"input": "en", "target": "pt-br"}).prompt == ">>pt_BR<< "
    made.save(tmp_path / "saved", {}, None, ())
    assert load(describe(tmp_path / "saved"), "translation", {"input": "a", "target": "b"}).prompt == ">>deu<< "
    with pytest.raises(ModelError, match=r"column 'target' does not name one of them.*deu, fra, pt_BR"):
        load(source, "translation", {"input": "source", "target": "target"})
