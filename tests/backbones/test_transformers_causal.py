"""Decoders that write on: cached states give the stock model's logits and gradients; what is saved answers the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from headstart.backbones.token_batches import IGNORED_LABEL
from headstart.backbones.transformers_causal import CausalBackbone, prompt_words
from headstart.backbones.transformers_text_to_text import load
from headstart.errors import ModelError
from headstart.heads.head import tuned_weights
from headstart.sources.local import describe
from headstart.stock import text_to_text
from headstart.stock.prompts import prompts
from headstart.training.lora import add_lora, merge_lora
from headstart.types import Example

PAIRS = [("the red cat", "das rot Katze"), ("a dog", "ein Hund"), ("good the blue cat a dog", "gut")]
EXAMPLES = [Example(s, s, t, s, s) for s, t in PAIRS]
TEXTS = [e.input for e in EXAMPLES]
COLUMNS = {"input": "en", "target": "de"}


@pytest.fixture(scope="module", params=["gpt2", "llama", "chat"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalBackbone:
    chat = request.param == "chat"
    folder = tiny.writer_model(tmp_path_factory.mktemp("writer") / "model", "llama" if chat else request.param, chat)
    made = load(describe(folder), "translation", COLUMNS)
    assert isinstance(made, CausalBackbone)
    return made


def cached(backbone: CausalBackbone, cut: str) -> list[dict[str, Any]]:
    """Each example's state, computed alone."""
    prefix, found = backbone.prefix((cut,)), []
    for example in EXAMPLES:
        item = dict(backbone.encode(example, "plain"))
        batch = backbone.collate([item])
        with torch.inference_mode():
            values = prefix.module(*(torch.from_numpy(batch[name]) for name in prefix.input_names))
        found.append({n: v[0, : backbone.length(item)].numpy() for n, v in zip(prefix.output_names, values)})
    return found


def cut_of(backbone: CausalBackbone) -> str:
    cut = backbone.depths[0].cut
    assert cut is not None
    return cut


def stock_loss(backbone: CausalBackbone) -> torch.Tensor:
    """Each example alone through the whole model, the loss over all target tokens, as transformers computes it."""
    total, count = torch.zeros(()), 0
    for example in EXAMPLES:
        prompt = backbone.prompts([example])[0]
        target = torch.tensor([backbone.token_ids(example.target or "")])
        labels = torch.cat([torch.full_like(prompt, IGNORED_LABEL), target], 1)
        loss = backbone.model(input_ids=torch.cat([prompt, target], 1), labels=labels).loss
        total, count = total + loss * target.numel(), count + target.numel()
    return total / count


def our_loss(backbone: CausalBackbone, cut: str | None, suffix: torch.nn.Module) -> torch.Tensor:
    wanted, labels = backbone.teach(EXAMPLES)
    records = cached(backbone, cut) if cut else [dict(backbone.encode(e, "plain")) for e in EXAMPLES]
    logits = suffix(*backbone.batch_state(cut, records), wanted)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED_LABEL)


@pytest.mark.parametrize("behind", [True, False])
def test_mixed_lengths_in_a_batch_have_the_stock_model_s_loss_on_targets_alone(backbone, behind) -> None:
    cut = cut_of(backbone) if behind else None
    with torch.inference_mode():
        torch.testing.assert_close(
            our_loss(backbone, cut, backbone.suffix(cut)), stock_loss(backbone), rtol=1e-4, atol=1e-5
        )


def test_gradients_behind_the_cut_are_the_stock_model_s_with_the_rest_frozen(backbone) -> None:
    cut = cut_of(backbone)
    suffix: Any = backbone.suffix(cut)
    our_loss(backbone, cut, suffix).backward()
    backbone.model.zero_grad()
    stock_loss(backbone).backward()
    checked = 0
    for name, parameter in suffix.weights():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, backbone.model.get_parameter(name).grad, rtol=1e-3, atol=1e-5)
            checked += 1
    backbone.model.zero_grad()
    assert checked >= 8


def test_the_states_hold_the_target_and_generation_never_sees_it(backbone) -> None:
    lengths = [backbone.length(backbone.encode(e, "plain")) for e in EXAMPLES]
    unlabelled = [backbone.length(backbone.encode(Example(t, t, None, t, t), "plain")) for t in TEXTS]
    assert [a - b for a, b in zip(lengths, unlabelled)] == [len(backbone.token_ids(t)) for _, t in PAIRS]
    ids, mask = backbone.prompts(EXAMPLES)
    assert mask.sum(1).tolist() == unlabelled and bool((mask[:, -1] == 1).all())
    assert ids.shape[1] == max(unlabelled)
    assert backbone.reads_targets


@pytest.mark.parametrize("cached_cut", [True, False])
def test_tuned_weights_are_in_what_is_saved_and_it_answers_the_same(backbone, cached_cut, tmp_path: Path) -> None:
    from headstart.heads.seq2seq import _Writer

    cut = cut_of(backbone) if cached_cut else None
    module = _Writer(cut, backbone.suffix(cut))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (p for p in module.parameters() if p.requires_grad):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    backbone.limit_answers(8)
    untouched = backbone.generate(backbone.prompts(EXAMPLES))
    ours = backbone.generate(backbone.prompts(EXAMPLES), module.network)
    assert ours != untouched
    assert backbone.save(tmp_path, tuned_weights(module, "network"), None, ()) == "native"
    found = [row["text"] for row in text_to_text.predict(text_to_text.load(str(tmp_path)), TEXTS)]
    assert found == ours
    assert backbone.generate(backbone.prompts(EXAMPLES)) == untouched  # not changed by saving


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_low_rank_changes_above_the_cut_train_merge_and_are_saved(family: str, tmp_path: Path) -> None:
    from headstart.heads.seq2seq import _Writer

    folder = tiny.writer_model(tmp_path / "model", family)
    config = describe(folder)
    backbone = load(config, "translation", COLUMNS)
    assert isinstance(backbone, CausalBackbone)
    lora = next(d for d in backbone.depths if d.name == "lora")
    assert lora.cut == cut_of(backbone)
    import headstart.training.lora as low_rank

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(low_rank, "SMALLEST", 16)
        module = _Writer(lora.cut, backbone.suffix(lora.cut))
        before = our_loss(backbone, lora.cut, module)
        frozen = add_lora(module, 0)
        optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 1e-2)
        for _ in range(30):
            optimiser.zero_grad()
            our_loss(backbone, lora.cut, module).backward()
            optimiser.step()
        merge_lora(module, frozen)
    after = our_loss(backbone, lora.cut, module)
    assert after.item() < before.item() - 0.5
    ours = backbone.generate(backbone.prompts(EXAMPLES), module.network)
    backbone.save(tmp_path / "saved", tuned_weights(module, "network"), None, ())
    loaded = text_to_text.load(str(tmp_path / "saved"))
    assert [row["text"] for row in text_to_text.predict(loaded, TEXTS)] == ours


def test_a_long_source_loses_its_end_and_keeps_prompt_and_answer(backbone) -> None:
    long = "the red cat " * 200
    item = backbone.encode(Example("", long, "ein Hund", "", ""), "plain")["input_ids"]
    assert len(item) == backbone.longest_prompt + 3
    bare = prompts(backbone.tokenizer, backbone.model.config, [""], backbone.longest_prompt)[0]
    assert item[backbone.longest_prompt - 1] == (bare or backbone.tokenizer("cat")["input_ids"])[-1]
    told = backbone.cut_off([Example("", long, None, "", ""), EXAMPLES[0]])
    assert told.startswith("1 of 2 texts")


def test_corrected_targets_are_other_records(backbone, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from headstart.features import Extractor

    key = Extractor.key_of
    extractor: Any = SimpleNamespace(backbone=backbone)
    first, second = (Example("x", "the cat", t, "x", "same") for t in ("das Katze", "ein Katze"))
    assert key(extractor, first) != key(extractor, second)
    extractor = SimpleNamespace(backbone=SimpleNamespace(reads_targets=False))
    assert key(extractor, first) == key(extractor, second) == "same"


def test_random_weights_keep_the_architecture_and_prompt(backbone) -> None:
    other = backbone.randomised(1, [])
    assert other.key != backbone.key and other.model.config.suffix == backbone.model.config.suffix
    assert not np.allclose(
        next(other.model.parameters()).detach().numpy(), next(backbone.model.parameters()).detach().numpy()
    )


def test_a_network_from_random_weights_decodes(backbone) -> None:
    other = backbone.randomised(1, [])
    network = other.live()
    backbone.limit_answers(4)
    assert len(other.generate(other.prompts(EXAMPLES), network)) == len(EXAMPLES)


def test_prompts_name_the_languages_that_the_columns_tell() -> None:
    columns = {"input": "translation.en", "target": "translation.de"}
    assert (
        prompt_words("translation", columns, chat=True)[0] == "Translate the following text from English to German:\n\n"
    )
    assert prompt_words("translation", columns, chat=False) == ("English: ", "\nGerman:")
    assert prompt_words("translation", {"input": "source", "target": "target"}, chat=True)[0].startswith(
        "Translate the"
    )
    assert prompt_words("summarization", {}, chat=False) == ("", "\n\nTL;DR:")


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="writes no texts"):
        load(describe(tiny.text_model(tmp_path / "bert")))
