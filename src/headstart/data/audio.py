"""Decode recordings with soundfile: any rate and channel count, mixed to mono, resampled by soxr."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.data.checked import Checked, UnusableInput, content_digest, existing_file
from headstart.stock.decode import to_mono

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".m4a", ".aac", ".wma",
                      ".mp4"})  # fmt: skip
_NEEDS_CONVERSION = frozenset({".m4a", ".aac", ".wma", ".mp4"})
MAX_SECONDS = 30.0  # the longest clip that the models' window holds
MIN_SECONDS = 0.02
SILENCE_PEAK = 1e-4


def load(path: str, sample_rate_hz: int = 16_000) -> NDArray[np.float32]:
    """Read a recording as mono float32 (samples,) in [-1, 1] at the given rate.

    Raises UnusableInput naming the fault.
    """
    frames, rate = _decode(path)
    mono: NDArray[np.float32] = to_mono(frames, rate, sample_rate_hz)
    return mono


def check(path: str) -> Checked:
    """Decode once; refuse NaN, silence and clips the models' window cannot hold."""
    frames, rate = _decode(path)
    samples = frames.mean(axis=1)
    seconds = len(samples) / rate
    if seconds < MIN_SECONDS:
        raise UnusableInput("recording has no sound in it", f"{seconds * 1000:.0f} ms")
    if not np.isfinite(samples).all():
        raise UnusableInput("recording holds NaN or infinite samples")
    peak = float(np.abs(samples).max())
    if peak < SILENCE_PEAK:
        raise UnusableInput("silent recording", f"peak {peak:.1e} of full scale")
    clipped = float((np.abs(samples) >= 0.999).mean())
    notes = ("clipped recordings (over 1% of samples at full scale): used as they are",) if clipped > 0.01 else ()
    digest = content_digest(np.ascontiguousarray(samples).tobytes() + str(rate).encode())
    return Checked(digest, digest, notes)


def _decode(path: str) -> tuple[NDArray[np.float32], int]:
    """Frames (n, channels) and the rate in Hz; refuses what is longer than the window, without decoding it whole."""
    file = existing_file(path)
    import soundfile

    try:
        info = soundfile.info(str(file))
        # one frame more than the window tells "too long" without decoding hours of sound
        window = int(info.samplerate * MAX_SECONDS)
        data, rate = soundfile.read(str(file), frames=window + 1, dtype="float32", always_2d=True)
    except (RuntimeError, ValueError, TypeError, OSError) as error:  # TypeError: headerless formats such as .raw
        hint = "convert it to wav or flac" if file.suffix.lower() in _NEEDS_CONVERSION else str(error)[:200]
        raise UnusableInput("not a readable recording", hint) from error
    if len(data) == 0 or rate <= 0:
        raise UnusableInput("recording has no sound in it", "0 samples")
    if len(data) > window:
        raise UnusableInput(
            "recording longer than 30 s", f"{max(info.frames, len(data)) / rate:.1f} s; cut it into clips of up to 30 s"
        )
    return data, int(rate)
