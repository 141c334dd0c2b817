"""Parts of recordings hidden in training: about a twentieth of what is heard, none of what pads it."""

from __future__ import annotations

import pytest
import torch

from headstart.backbones.masking import BANDS_SHARE, TIME_SHARE, hide_spectrum, hide_waves, spans


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_spans_hide_their_share_on_average() -> None:
    hidden = [sum(end - start for start, end in spans(730, 10)) for _ in range(400)]
    assert abs(sum(hidden) / 400 / 730 - TIME_SHARE) < 0.005
    assert all(0 <= start < end <= 7 for start, end in spans(7, 10))


def test_only_heard_frames_are_hidden_and_the_batch_is_left_as_it_was() -> None:
    features = torch.full((8, 40, 300), -1.5)
    features[:, :, :120] = torch.rand(8, 40, 120)
    before = features.clone()
    hidden = torch.cat([hide_spectrum(features, 100.0) for _ in range(20)])
    assert torch.equal(features, before)
    changed = hidden != before.repeat(20, 1, 1)
    assert not changed[:, :, 120:].any()
    bands = changed[:, :, :120].all(2).sum(1)  # a stripe's rows are hidden from end to end
    assert int(bands.max()) <= BANDS_SHARE * 40 and 1 < float(bands.float().mean()) < 3
    frames = changed[:, :, :120].all(1).float().mean()
    assert abs(float(frames) - TIME_SHARE) < 0.015


def test_samples_behind_a_recording_stay_zero_and_others_are_hidden() -> None:
    waves = torch.zeros(64, 16000)
    lengths = torch.tensor([4000, 16000] * 32)
    for row, length in zip(waves, lengths.tolist()):
        row[:length] = 1.0
    hidden = hide_waves(waves, lengths, 16000)
    shares = 1 - hidden.sum(1) / lengths
    assert abs(float(shares.mean()) - TIME_SHARE) < 0.03 and float(waves.sum()) == float(lengths.sum())
