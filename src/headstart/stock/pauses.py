"""Cut long recordings in their pauses, reading them block by block. Does not import headstart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

LONGEST_S = 28.0  # of a part; a recogniser's window holds 30 s
SEARCHED_S = 14.0  # before the longest: where the quietest moment is looked for
FRAME_S = 0.02
SMOOTH = 5  # frames
BLOCK_S = 10.0


def seconds(path: str) -> float:
    """How long the recording is, by its header."""
    import soundfile

    info = soundfile.info(path)
    return float(info.frames / info.samplerate)


def parts(path: str, rate_hz: int = 16_000) -> Iterator[tuple[float, float, Any]]:
    """Parts of a recording, in order: start and end in seconds, and mono float32 samples at the given rate.

    Each is up to 28 s long and ends where it is quietest in its last 14 s. No more than two blocks are in memory.
    """
    longest, first = int(LONGEST_S * rate_hz), int((LONGEST_S - SEARCHED_S) * rate_hz)
    held = np.zeros(0, dtype=np.float32)
    begin = 0  # samples before what is held
    for block in _blocks(path, rate_hz):
        held = np.concatenate([held, block])
        while len(held) > longest:
            cut = first + quietest(held[first:longest], rate_hz)
            yield begin / rate_hz, (begin + cut) / rate_hz, held[:cut]
            held, begin = held[cut:], begin + cut
    if len(held):
        yield begin / rate_hz, (begin + len(held)) / rate_hz, held


def _blocks(path: str, rate_hz: int) -> Iterator[Any]:
    """Mono samples at the wanted rate, some seconds at a time."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        stream: Any = None
        if file.samplerate != rate_hz:
            import soxr

            stream = soxr.ResampleStream(file.samplerate, rate_hz, 1, dtype="float32")
        size = int(BLOCK_S * file.samplerate)
        while True:
            frames = file.read(size, dtype="float32", always_2d=True)
            mono = np.ascontiguousarray(frames.mean(axis=1), dtype=np.float32)
            last = len(frames) < size
            yield mono if stream is None else np.asarray(stream.resample_chunk(mono, last=last), dtype=np.float32)
            if last:
                return


def quietest(samples: Any, rate_hz: int) -> int:
    """Where a tenth of a second is quietest, as a position in the samples."""
    frame = int(FRAME_S * rate_hz)
    count = len(samples) // frame
    power = (samples[: count * frame].reshape(count, frame).astype(np.float64) ** 2).mean(1)
    smooth = np.convolve(np.nan_to_num(power, nan=np.inf), np.ones(SMOOTH) / SMOOTH, mode="same")
    return int((int(np.argmin(smooth)) + 0.5) * frame)
