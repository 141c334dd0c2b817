"""Recordings of any rate and channel count; what holds no usable sound is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from made import tone

from headstart.data import audio
from headstart.data.checked import UnusableInput


def reason_of(file: Path) -> str:
    with pytest.raises(UnusableInput) as caught:
        audio.check(str(file))
    return str(caught.value)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
def test_common_formats_are_read(tmp_path, ending):
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, tone(440, 1.0), 16_000)
    audio.check(str(file))
    samples = audio.load(str(file))
    assert samples.dtype == np.float32
    assert abs(len(samples) - 16_000) < 2000  # mp3 pads
    spectrum = np.abs(np.fft.rfft(samples[:16_000]))
    assert abs(int(spectrum.argmax()) * 16_000 / len(samples[:16_000]) - 440) < 5


def test_the_same_samples_in_another_container_are_duplicates(tmp_path):
    for ending in ("wav", "flac"):
        soundfile.write(tmp_path / f"a.{ending}", (tone() * 30_000).astype(np.int16), 16_000)
    assert audio.check(str(tmp_path / "a.wav")).digest == audio.check(str(tmp_path / "a.flac")).digest


def test_channels_are_mixed(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([tone(), -0.5 * tone()], axis=1), 16_000)
    np.testing.assert_allclose(audio.load(str(tmp_path / "a.wav")), 0.25 * tone(), atol=1e-3)


def test_eight_kilohertz_becomes_sixteen(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440, 1.0, 8000), 8000)
    samples = audio.load(str(tmp_path / "a.wav"))
    assert len(samples) == 16_000
    np.testing.assert_allclose(samples[2000:-2000], tone(440, 1.0)[2000:-2000], atol=0.01)


def test_nan_silence_and_no_samples(tmp_path):
    broken = tone()
    broken[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 16_000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "click.wav", tone()[:100], 16_000)
    assert "NaN" in reason_of(tmp_path / "nan.wav")
    assert reason_of(tmp_path / "silent.wav").startswith("silent recording")
    assert reason_of(tmp_path / "none.wav") == "recording has no sound in it: 0 samples"
    assert reason_of(tmp_path / "click.wav") == "recording has no sound in it: 6 ms"


def test_too_long_is_refused_without_decoding_it_whole_and_never_cut_silently(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "long.wav", tone(440, 45, 8000), 8000)
    soundfile.write(tmp_path / "fits.wav", tone(440, 30, 8000), 8000)
    decoded: list[int] = []
    read = soundfile.read

    def counting(*args: object, **options: object):
        data, rate = read(*args, **options)
        decoded.append(len(data))
        return data, rate

    monkeypatch.setattr(soundfile, "read", counting)
    assert reason_of(tmp_path / "long.wav") == "recording longer than 30 s: 45.0 s; cut it into clips of up to 30 s"
    assert decoded == [30 * 8000 + 1]
    with pytest.raises(UnusableInput, match="longer than 30 s"):
        audio.load(str(tmp_path / "long.wav"))
    assert len(audio.load(str(tmp_path / "fits.wav"))) == 30 * 16_000


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.wav", b"", "empty file"),
        ("a.wav", b"this is a text", "not a readable recording"),
        ("a.m4a", b"\0\0\0\x20ftypM4A ", "not a readable recording: convert it to wav or flac"),
        ("a.raw", bytes(64), "not a readable recording"),
        ("a.wav", b"RIFF\x24\0\0\0WAVEfmt ", "not a readable recording"),
    ],
)
def test_what_is_no_recording_is_refused_with_a_reason(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert reason_of(tmp_path / name).startswith(reason)


def test_a_missing_file_is_refused(tmp_path):
    assert reason_of(tmp_path / "gone.wav").startswith("file not found")


def test_clipping_is_said(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.sign(tone()), 16_000)
    assert "clipped" in audio.check(str(tmp_path / "a.wav")).notes[0]
