"""Recognisers over frames: cached states give the whole model's logits and loss; what is saved hears the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import tiny
from headstart.backbones.transformers_ctc import FRAMES, CtcBackbone
from headstart.backbones.transformers_speech import load
from headstart.errors import ModelError
from headstart.heads.head import tuned_weights
from headstart.heads.seq2seq import _Writer
from headstart.sources.local import describe
from headstart.stock import transcripts
from headstart.types import Example

WORDS = ["low tone", "high tone", "low"]
FAMILIES = ["wav2vec2", "wav2vec2-base", *(pytest.param(f, marks=pytest.mark.slow) for f in ("hubert", "wavlm"))]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    made = []
    for i, text in enumerate(WORDS):
        soundfile.write(folder / f"{i}.wav", 0.1 * rng.normal(size=4000 + 1700 * i), 16_000)
        made.append(Example(str(i), str(folder / f"{i}.wav"), text, str(i), str(i)))
    return made


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CtcBackbone:
    made = load(describe(tiny.ctc_model(tmp_path_factory.mktemp("ctc") / "model", request.param)))
    assert isinstance(made, CtcBackbone)
    made.expect(WORDS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # of zeros nothing could be told
        made.stock.lm_head.weight.copy_(torch.randn(made.stock.lm_head.weight.shape, generator=generator))
    return made


def cached(backbone: CtcBackbone, cut: str, clips: list[Example]) -> list[dict[str, Any]]:
    """Each clip's state, computed alone."""
    prefix, found = backbone.prefix((FRAMES, cut)), []
    for clip in clips:
        item = dict(backbone.encode(clip, "plain"))
        waves = item["input_values"][None]
        batch = {"input_values": waves, "attention_mask": np.ones(waves.shape, dtype=np.int64)}
        with torch.inference_mode():
            values = prefix.module(*(torch.from_numpy(batch[name]) for name in prefix.input_names))
        assert prefix.shapes is not None
        shapes = prefix.shapes(backbone.length(item))
        record = {n: v[0].numpy() for n, v in zip(prefix.output_names, values)}
        assert {n: v.shape for n, v in record.items()} == {n: shapes[n] for n in record}
        found.append({n: record[n] for n in prefix.states[cut]})
    return found


def cuts(backbone: CtcBackbone) -> list[str]:
    return [d.cut for d in backbone.depths if d.cut is not None]


def stock_logits(backbone: CtcBackbone, clip: Example) -> torch.Tensor:
    values = torch.from_numpy(backbone.encode(clip, "plain")["input_values"])[None]
    with torch.inference_mode():
        return backbone.stock(values).logits[0]


def test_padded_states_of_every_cut_give_each_clip_s_own_logits(backbone, clips) -> None:
    assert cuts(backbone)[0] == FRAMES and len(cuts(backbone)) >= 2
    for cut in cuts(backbone):
        with torch.inference_mode():
            logits, frames = backbone.suffix(cut)(*backbone.batch_state(cut, cached(backbone, cut, clips)))
        for row, clip in enumerate(clips):
            expected = stock_logits(backbone, clip)
            assert int(frames[row]) == len(expected)
            torch.testing.assert_close(logits[row, : len(expected)], expected, rtol=1e-3, atol=1e-3)


def test_the_loss_is_the_stock_model_s(backbone, clips) -> None:
    states = backbone.batch_state(FRAMES, cached(backbone, FRAMES, clips))
    ours = backbone.loss(backbone.suffix(FRAMES), states, clips, 0.0)
    total, count = 0.0, 0
    for clip in clips:
        values = torch.from_numpy(backbone.encode(clip, "plain")["input_values"])[None]
        labels = torch.tensor([backbone.token_ids(clip.target)])
        backbone.stock.config.ctc_loss_reduction, backbone.stock.config.ctc_zero_infinity = "sum", True
        total += float(backbone.stock(values, labels=labels).loss.detach())
        count += labels.numel()
    assert ours.item() == pytest.approx(total / count, rel=1e-3)


def test_a_clip_too_short_for_its_text_harms_nothing(backbone, clips) -> None:
    long = Example("x", clips[0].input, "low tone " * 200, "x", "x")
    states = backbone.batch_state(FRAMES, cached(backbone, FRAMES, [clips[0]]))
    assert backbone.loss(backbone.suffix(FRAMES), states, [long], 0.0).item() == 0.0


def test_the_convolutions_stay_as_they_are(backbone) -> None:
    named = dict(backbone.suffix(None).named_parameters())
    assert not any(p.requires_grad for n, p in named.items() if ".feature_extractor." in n)
    assert sum(p.requires_grad for p in named.values()) > 10


@pytest.mark.parametrize("depth", ["head", "block", "all"])
def test_what_is_saved_hears_as_the_tuned_network_does(backbone, clips, depth, tmp_path: Path) -> None:
    cut = next((d.cut for d in backbone.depths if d.name == depth), FRAMES)
    if depth == "all" and depth not in {d.name for d in backbone.depths}:
        assert backbone.model.config.feat_extract_norm == "group"  # batches would need clips of one length
        return
    module = _Writer(cut, backbone.suffix(cut))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (p for p in module.parameters() if p.requires_grad):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    records = cached(backbone, cut, clips) if cut else [dict(backbone.encode(c, "plain")) for c in clips]
    ours = backbone.generate(backbone.batch_state(cut, records), module.network)
    untouched = backbone.generate(backbone.batch_state(FRAMES, cached(backbone, FRAMES, clips)))
    assert ours != untouched
    assert backbone.save(tmp_path, tuned_weights(module, "network"), None, ()) == "native"
    found = transcripts.predict(transcripts.load(str(tmp_path)), [c.input for c in clips])
    assert [row["text"] for row in found] == ours


def test_a_new_layer_is_silent_until_it_has_learnt(tmp_path: Path, clips) -> None:
    made = load(describe(tiny.ctc_model(tmp_path / "model")))
    assert isinstance(made, CtcBackbone)
    made.expect(WORDS)
    assert set(made.tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "|", *"lowtnehig"}
    assert made.generate(made.batch_state(FRAMES, cached(made, FRAMES, clips))) == ["", "", ""]


def test_a_vocabulary_that_covers_the_transcripts_is_kept_in_its_case(tmp_path: Path) -> None:
    known = load(describe(tiny.ctc_model(tmp_path / "known", letters="EGHILNOTW")))
    assert isinstance(known, CtcBackbone)
    layer, size = known.stock.lm_head, len(known.tokenizer)
    known.expect(["Low tone!", "high"])
    assert known.stock.lm_head is layer and len(known.tokenizer) == size
    assert known.tokenizer.decode(known.token_ids("Low, tone")) == "LOW TONE"
    other = load(describe(tmp_path / "known"))
    assert isinstance(other, CtcBackbone)
    other.expect(["żółw", "łąka"])
    assert other.stock.lm_head is not layer and "ż" in other.tokenizer.get_vocab()


def test_an_adapter_behind_the_encoder_is_refused(tmp_path: Path) -> None:
    import json

    folder = tiny.ctc_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "add_adapter": True}))
    with pytest.raises(ModelError, match="adapter"):
        load(describe(folder))


def test_two_words_are_learnt_on_cached_frames_and_a_deeper_rung_goes_on_from_there(tmp_path: Path) -> None:
    from headstart.backbones.backbone import Recipe
    from headstart.training.loop import train

    rng, time = np.random.default_rng(0), np.arange(800) / 16_000
    pitch = dict(zip("lowhig", (300, 700, 1200, 2000, 3000, 4500)))  # each letter sounds like itself
    tones = []
    for i in range(16):
        word = ("low", "high")[i % 2]
        sound = np.concatenate([0.4 * np.sin(2 * np.pi * pitch[letter] * time) for letter in word])
        soundfile.write(tmp_path / f"{i}.wav", sound + 0.01 * rng.normal(size=len(sound)), 16_000)
        tones.append(Example(str(i), str(tmp_path / f"{i}.wav"), word, str(i), str(i)))
    made = load(describe(tiny.ctc_model(tmp_path / "model")))
    assert isinstance(made, CtcBackbone)
    made.expect([e.target or "" for e in tones])
    depth = made.depths[1]
    assert depth.cut is not None
    base, right, curve = None, [], []
    for cut, epochs, rate in ((FRAMES, 200, 1e-1), (depth.cut, 40, 1e-2)):
        states = cached(made, cut, tones)
        writer = _Writer(cut, made.suffix(cut))
        if base is not None:
            assert writer.head is not None
            writer.head.load_state_dict(base)

        def loss(module: Any, rows: Any, rng: Any, cut: str = cut, states: Any = states) -> torch.Tensor:
            return made.loss(module, made.batch_state(cut, [states[r] for r in rows]), [tones[r] for r in rows], 0.0)

        recipe = Recipe(rate, rate, batch_size=8, max_epochs=epochs, averaged_share=0.0)
        curve.append(train(writer, np.arange(16), loss, recipe, epochs, 0).curve)
        texts = made.generate(made.batch_state(cut, states), writer.network)
        right.append(np.mean([t == e.target for t, e in zip(texts, tones)]))
        assert writer.head is not None
        base = {name: p.detach().clone() for name, p in writer.head.named_parameters()}
    assert right[0] > 0.5 and right[1] == 1.0
    assert curve[1][0]["train_loss"] < 0.1 * curve[0][0]["train_loss"]  # not from the beginning


def test_waves_are_partly_hidden_only_while_a_network_that_reads_them_is_trained(backbone, clips, monkeypatch) -> None:
    from headstart.backbones import transformers_ctc

    seen = []

    def noted(waves: torch.Tensor, lengths: torch.Tensor, rate: int) -> torch.Tensor:
        seen.append(lengths.tolist())
        return waves

    monkeypatch.setattr(transformers_ctc, "hide_waves", noted)
    clip = clips[:1]
    whole = backbone.batch_state(None, [dict(backbone.encode(clip[0], "plain"))])
    network = backbone.suffix(None)
    backbone.loss(network.eval(), whole, clip, 0.0)
    assert not seen
    backbone.loss(network.train(), whole, clip, 0.0)
    assert seen == [[4000]]
    cut = cuts(backbone)[-1]
    behind = backbone.batch_state(cut, cached(backbone, cut, clip))
    backbone.loss(backbone.suffix(cut).train(), behind, clip, 0.0)
    assert len(seen) == 1
