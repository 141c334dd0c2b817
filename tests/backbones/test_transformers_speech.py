"""Whisper's decoder is trained on the states of what was spoken; what is behind the margin costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

import tiny
from headstart.backbones import whisper_encoder
from headstart.backbones.backbone import Timed
from headstart.backbones.transformers_speech import DECODER, MARGIN_S, WHOLE_MARGIN_S, WhisperBackbone, load
from headstart.sources.local import describe
from headstart.types import Example


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> WhisperBackbone:
    made = load(describe(tiny.speech_model(tmp_path_factory.mktemp("speech") / "model")))
    assert isinstance(made, WhisperBackbone)
    return made


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for name, seconds in (("short", 1.0), ("long", 2.5)):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.normal(size=int(8000 * seconds)), 8000)
    return [Example(name, str(folder / f"{name}.wav"), "low tone", name, name) for name in ("short", "long")]


def test_a_step_reads_what_is_spoken_and_a_margin(backbone: WhisperBackbone, clips: list[Example]) -> None:
    positions = backbone.model.config.max_source_positions
    per_second = positions / backbone.extractor.chunk_length
    assert isinstance(backbone, Timed)
    lengths = [backbone.step_length(clip) for clip in clips]
    assert lengths == [np.ceil((1.0 + MARGIN_S) * per_second), np.ceil((2.5 + MARGIN_S) * per_second)]
    states = torch.randn(2, positions, backbone.model.config.d_model)
    tail = backbone.suffix(DECODER).eval()
    with torch.inference_mode():
        before = backbone.loss(tail, (states,), clips, 0.0)
        states[:, max(lengths) :] = 9.0
        assert backbone.loss(tail, (states,), clips, 0.0) == before
        states[:, max(lengths) - 1] = 9.0
        assert backbone.loss(tail, (states,), clips, 0.0) != before


def test_the_whole_network_is_trained_on_what_is_spoken_and_a_shorter_margin(
    backbone: WhisperBackbone, clips: list[Example]
) -> None:
    records = [dict(backbone.encode(clip, "plain")) for clip in clips]
    (frames,) = backbone.batch_state(None, records)
    network = backbone.suffix(None).eval()
    positions = backbone.model.config.max_source_positions
    states = np.ceil((2.5 + WHOLE_MARGIN_S) * positions / backbone.extractor.chunk_length)
    used = 2 * int(states)  # two frames make a state
    assert used < frames.shape[-1]
    with torch.inference_mode():
        before = backbone.loss(network, (frames,), clips, 0.0)
        frames[..., used:] += 5.0
        assert backbone.loss(network, (frames,), clips, 0.0) == before
        frames[..., used - 1] += 5.0
        assert backbone.loss(network, (frames,), clips, 0.0) != before


@pytest.mark.parametrize("chunk_length", [30, 5])
@pytest.mark.parametrize("seconds", [0.05, 1.0, 3.21, 4.96, 4.99, 5.0, 29.97, 30.0])
def test_a_spectrogram_is_the_stock_extractor_s_though_silence_is_not_computed(
    seconds: float, chunk_length: int, backbone: WhisperBackbone
) -> None:
    described = {**backbone.extractor.to_dict(), "chunk_length": chunk_length}
    extractor = type(backbone.extractor).from_dict(described)
    samples = np.random.default_rng(0).normal(size=int(16000 * seconds)).astype(np.float32)
    stock = extractor(samples, sampling_rate=16000, return_tensors="np").input_features[0]
    np.testing.assert_allclose(whisper_encoder.spectrogram(extractor, samples), stock, rtol=0, atol=1e-6)


def test_a_shortened_pass_leaves_the_encoder_as_it_was(backbone: WhisperBackbone, clips: list[Example]) -> None:
    encoder = backbone.model.model.encoder
    (frames,) = backbone.batch_state(None, [dict(backbone.encode(clips[0], "plain"))])
    with torch.inference_mode():
        whole = encoder(frames).last_hidden_state
        assert whisper_encoder.states(encoder, frames[..., :120]).shape[1] == 60
        assert torch.equal(whisper_encoder.states(encoder, frames), whole)
        with pytest.raises(RuntimeError):
            whisper_encoder.states(encoder, frames[:, :3, :120])
        assert torch.equal(encoder(frames).last_hidden_state, whole)
