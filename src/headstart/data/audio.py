"""Decode recordings with soundfile: any rate and channel count, mixed to mono, resampled by soxr."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headstart.data.checked import Checked, UnusableInput, content_digest, existing_file
from headstart.stock.decode import to_mono

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".m4a", ".aac", ".wma",
                      ".mp4"})  # fmt: skip
_NEEDS_CONVERSION = frozenset({".m4a", ".aac", ".wma", ".mp4"})
MAX_SECONDS = 30.0  # the longest clip that the models' window holds
MIN_SECONDS = 0.05  # an encoder of raw sound makes no frame of less
SILENCE_PEAK = 1e-4


def load(path: str, sample_rate_hz: int = 16_000, max_seconds: float | None = None) -> NDArray[np.float32]:
    """Read a recording as mono float32 (samples,) in [-1, 1] at the given rate.

    max_seconds: read so much of a longer one; where left out, what the window cannot hold is refused.
    Raises UnusableInput naming the fault.
    """
    frames, rate, _ = _decode(path, max_seconds)
    mono: NDArray[np.float32] = to_mono(frames, rate, sample_rate_hz)
    return mono


def seconds(path: str) -> float:
    """How long the recording is, by its header. Raises UnusableInput where it has none."""
    import soundfile

    try:
        info = soundfile.info(path)
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        raise UnusableInput("not a readable recording", str(error)[:200]) from error
    return float(info.frames / info.samplerate)


def check(path: str) -> Checked:
    """Decode once; refuse NaN, silence and clips the models' window cannot hold."""
    return _checked(path, None)


def check_for_classes(path: str) -> Checked:
    """Decode once; refuse NaN and silence. Of longer recordings the window's worth from the beginning is looked at."""
    return _checked(path, MAX_SECONDS)


def check_beginning(path: str) -> Checked:
    """As `check`, for a recording of any length: its beginning is decoded, the rest is read when it is its turn."""
    return replace(_checked(path, MAX_SECONDS), notes=())


def _checked(path: str, max_seconds: float | None) -> Checked:
    frames, rate, longer = _decode(path, max_seconds)
    samples = frames.mean(axis=1)
    length = len(samples) / rate
    if length < MIN_SECONDS:
        raise UnusableInput("recording has no sound in it", f"{length * 1000:.0f} ms")
    if not np.isfinite(samples).all():
        raise UnusableInput("recording holds NaN or infinite samples")
    peak = float(np.abs(samples).max())
    if peak < SILENCE_PEAK:
        beginning = f" in the first {max_seconds:g} s" if longer else ""
        raise UnusableInput("silent recording", f"peak {peak:.1e} of full scale{beginning}")
    clipped = float((np.abs(samples) >= 0.999).mean())
    notes = []
    if clipped > 0.01:
        notes.append("clipped recordings (over 1% of samples at full scale): used as they are")
    if longer:
        notes.append(f"recordings longer than {max_seconds:g} s: the first {max_seconds:g} s of each are used")
    digest = content_digest(np.ascontiguousarray(samples).tobytes() + str(rate).encode())
    return Checked(digest, digest, tuple(notes))


def _decode(path: str, max_seconds: float | None) -> tuple[NDArray[np.float32], int, bool]:
    """Frames (n, channels) of max_seconds at most, the rate in Hz, and whether the recording is longer.

    None refuses what is longer than the window. Neither decodes hours of sound.
    """
    file = existing_file(path)
    import soundfile

    try:
        info = soundfile.info(str(file))
        # one frame more than the window tells "too long" without decoding it whole
        window = int(info.samplerate * (max_seconds or MAX_SECONDS))
        data, rate = soundfile.read(str(file), frames=window + 1, dtype="float32", always_2d=True)
    except (RuntimeError, ValueError, TypeError, OSError) as error:  # TypeError: headerless formats such as .raw
        hint = "convert it to wav or flac" if file.suffix.lower() in _NEEDS_CONVERSION else str(error)[:200]
        raise UnusableInput("not a readable recording", hint) from error
    if len(data) == 0 or rate <= 0:
        raise UnusableInput("recording has no sound in it", "0 samples")
    if len(data) > window and max_seconds is None:
        raise UnusableInput(
            "recording longer than 30 s", f"{max(info.frames, len(data)) / rate:.1f} s; cut it into clips of up to 30 s"
        )
    return data[:window], int(rate), len(data) > window
