"""Recordings of any rate and channel count; what holds no usable sound is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from made import tone

from headstart.data import audio
from headstart.data.checked import UnusableInput
from headstart.stock.decode import read_audio


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


def test_for_classes_a_long_recording_is_read_from_its_beginning_and_told(tmp_path):
    beginning, rest = tone(440, 30.0, 8000), tone(880, 5.0, 8000)
    soundfile.write(tmp_path / "long.wav", np.concatenate([beginning, rest]), 8000)
    soundfile.write(tmp_path / "short.wav", beginning, 8000)
    found = audio.check_for_classes(str(tmp_path / "long.wav"))
    assert found.notes == ("recordings longer than 30 s: the first 30 s of each are used",)
    assert audio.check_for_classes(str(tmp_path / "short.wav")).notes == ()
    assert found.digest == audio.check_for_classes(str(tmp_path / "short.wav")).digest
    samples = audio.load(str(tmp_path / "long.wav"), 8000, 2.0)
    np.testing.assert_allclose(samples, beginning[:16_000], atol=1e-3)
    np.testing.assert_array_equal(samples, read_audio(str(tmp_path / "long.wav"), 8000, 2.0))
    assert audio.seconds(str(tmp_path / "long.wav")) == 35.0
    assert "longer than 30 s" in reason_of(tmp_path / "long.wav")  # as ever, where transcripts are wanted


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(8000), "silent recording"),
        (np.full(8000, np.nan), "NaN or infinite"),
        (np.zeros(0), "no sound in it"),
        (tone(440, 0.03, 8000), "no sound in it: 30 ms"),
    ],
)
def test_for_classes_what_holds_no_sound_is_refused(tmp_path, samples, reason):
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(UnusableInput, match=reason):
        audio.check_for_classes(str(tmp_path / "a.wav"))


def test_silence_behind_which_there_is_sound_says_how_far_it_was_heard(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(8000 * 31), tone(440, 1.0, 8000)]), 8000)
    with pytest.raises(UnusableInput, match=r"silent recording: .* in the first 30 s"):
        audio.check_for_classes(str(tmp_path / "a.wav"))
