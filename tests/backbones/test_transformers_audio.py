"""Audio folders of every family: the stock classifier answers as the head does, and so does what lies behind a cut."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import tiny
from headstart.backbones.transformers_audio import AudioBackbone, load
from headstart.errors import ModelError
from headstart.features import Extractor, extract, features_of
from headstart.runtime.choose import choose_engine
from headstart.sources.local import describe
from headstart.stock import transformers_recordings
from headstart.types import Example, Silent

CLASSES = ("one", "two", "three")
SECONDS = (0.4, 1.3, 0.7, 0.7)


@dataclass(frozen=True)
class Head:
    weight: np.ndarray
    bias: np.ndarray
    feature: str
    normalisation: str = "raw"


def recordings(folder: Path) -> list[Example]:
    """Noise of mixed lengths."""
    rng = np.random.default_rng(0)
    found = []
    for i, seconds in enumerate(SECONDS):
        soundfile.write(folder / f"{i}.wav", 0.3 * rng.normal(size=int(16_000 * seconds)), 16_000)
        found.append(Example(f"{i}.wav", str(folder / f"{i}.wav"), None, f"{i}", f"digest-{i}"))
    return found


def opened(backbone: AudioBackbone, examples: list[Example], cuts: list[str], cache: Path) -> Extractor:
    """Features of these recordings through torch, as a run makes them."""
    prefix = backbone.prefix(cuts)
    batch = backbone.collate([backbone.encode(examples[0], "plain")])
    engine = choose_engine(
        prefix.module, batch, prefix.input_names, prefix.dynamic_shapes, lambda told: None, "torch", None
    )
    parts = ("pooled", *cuts)
    extractor = Extractor(backbone, prefix, engine, cache, parts)
    extract(extractor, examples, ("plain",), Silent())
    return extractor


def pooled(extractor: Extractor, examples: list[Example], feature: str) -> torch.Tensor:
    return torch.from_numpy(features_of(extractor, examples, ("plain",)).pooled(feature, np.arange(len(examples))))


@pytest.mark.parametrize("family", tiny.AUDIO_FAMILIES)
def test_the_stock_classifier_answers_as_the_head_on_our_features(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForAudioClassification

    examples = recordings(tmp_path)
    backbone = load(describe(tiny.audio_model(tmp_path / "model", family)))
    (feature,) = backbone.features
    values = pooled(opened(backbone, examples, [], tmp_path / "cache"), examples, feature)
    rng = np.random.default_rng(1)
    head = Head(rng.normal(size=(3, 32)).astype(np.float32), rng.normal(size=3).astype(np.float32), feature)
    (tmp_path / "saved").mkdir()
    assert backbone.save(tmp_path / "saved", {}, head, CLASSES) == "native"
    logits = values @ torch.from_numpy(head.weight).T + torch.from_numpy(head.bias)
    wanted = logits.double().softmax(-1)
    paths = [e.input for e in examples]
    rows = list(
        transformers_recordings.predict(transformers_recordings.load(str(tmp_path / "saved")), paths, features=True)
    )
    found = torch.tensor([[row["probabilities"][name] for name in CLASSES] for row in rows])
    assert float((found - wanted).abs().max()) < 1e-4
    np.testing.assert_allclose([row["features"] for row in rows], values, atol=1e-3)
    # and the class as it stands, without our loader
    stock: Any = AutoModelForAudioClassification.from_pretrained(tmp_path / "saved").eval()
    item = backbone.encode(examples[1], "plain")
    with torch.inference_mode():
        whole = stock(torch.from_numpy(next(iter(item.values())))[None]).logits.double().softmax(-1)
    assert float((whole[0] - wanted[1]).abs().max()) < 1e-4
    assert stock.config.id2label == dict(enumerate(CLASSES))


@pytest.mark.parametrize(
    "family", [f if f == "wav2vec2-base" else pytest.param(f, marks=pytest.mark.slow) for f in tiny.AUDIO_FAMILIES]
)
def test_behind_a_cut_padded_states_give_the_features_of_each_recording(family: str, tmp_path: Path) -> None:
    examples = recordings(tmp_path)
    backbone = load(describe(tiny.audio_model(tmp_path / "model", family)))
    (feature,) = backbone.features
    cuts = [depth.cut for depth in backbone.depths if depth.cut is not None]
    extractor = opened(backbone, examples, cuts, tmp_path / "cache")
    wanted = pooled(extractor, examples, feature)
    features = features_of(extractor, examples, ("plain",))
    rows = np.arange(len(examples))
    for cut in cuts:
        state = backbone.batch_state(cut, features.states(rows, cut))
        with torch.inference_mode():
            found = backbone.suffix(cut)(*state)[feature]
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    # a network that sees padding has no batches of its inputs to be tuned on
    assert any(depth.cut is None for depth in backbone.depths) == (family != "wav2vec2-base")


def test_a_longer_recording_than_the_model_hears_is_counted(tmp_path: Path) -> None:
    examples = recordings(tmp_path)
    ast = load(describe(tiny.audio_model(tmp_path / "ast", "ast")))  # 80 frames: 0.8 s
    assert ast.cut_off(examples) == "1 of 4 recordings are longer than the 0.8 s that the model hears"
    assert load(describe(tiny.audio_model(tmp_path / "waves"))).cut_off(examples) == ""


def test_whisper_made_for_fewer_seconds_is_the_stock_classifier_with_fewer_positions(tmp_path: Path) -> None:
    from transformers import AutoModelForAudioClassification

    examples = recordings(tmp_path)
    whole = load(describe(tiny.audio_model(tmp_path / "model", "whisper")))
    assert whole.chunk_length == 30
    backbone = whole.hearing(1)
    assert (backbone.chunk_length, whole.chunk_length) == (1, 30)
    assert whole.model.config.max_source_positions == 1500  # the other one is left as it was
    assert backbone.key != whole.key
    assert backbone.cut_off(examples) == "1 of 4 recordings are longer than the 1 s that the model hears"
    spectrogram = backbone.encode(examples[0], "plain")["spectrogram"]
    assert spectrogram.shape == (80, 100)
    torch.testing.assert_close(backbone.model.embed_positions.weight, whole.model.embed_positions.weight[:50])
    values = pooled(opened(backbone, examples, [], tmp_path / "cache"), examples, "mean")
    with torch.inference_mode():
        states = backbone.model(torch.from_numpy(spectrogram)[None]).last_hidden_state
    torch.testing.assert_close(values[0], states[0].mean(0), atol=1e-4, rtol=1e-4)
    rng = np.random.default_rng(1)
    head = Head(rng.normal(size=(3, 32)).astype(np.float32), rng.normal(size=3).astype(np.float32), "mean")
    assert backbone.save(tmp_path / "saved", {}, head, CLASSES) == "native"
    wanted = (values @ torch.from_numpy(head.weight).T + torch.from_numpy(head.bias)).double().softmax(-1)
    rows = transformers_recordings.predict(
        transformers_recordings.load(str(tmp_path / "saved")), [e.input for e in examples]
    )
    found = torch.tensor([[row["probabilities"][name] for name in CLASSES] for row in rows])
    assert float((found - wanted).abs().max()) < 1e-4
    stock: Any = AutoModelForAudioClassification.from_pretrained(tmp_path / "saved").eval()
    assert stock.config.max_source_positions == 50
    again = load(describe(tmp_path / "saved"))
    assert again.chunk_length == 1
    assert backbone.randomised(0, []).chunk_length == 1


def test_only_whisper_hears_one_length_of_all(tmp_path: Path) -> None:
    for family in ("wav2vec2", "ast"):
        assert load(describe(tiny.audio_model(tmp_path / family, family))).chunk_length is None


def test_another_family_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    import json

    folder = tiny.audio_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "clap"}))
    with pytest.raises(ModelError, match=r"is a clap model; audio classification takes Whisper, wav2vec 2.0"):
        load(describe(folder))


def test_a_checkpoint_that_lacks_encoder_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny.audio_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(n for n in weights if n.endswith("layers.1.final_layer_norm.weight"))
    del weights[name]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights of a wav2vec2 audio model"):
        load(describe(folder))
