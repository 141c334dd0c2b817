"""Transcribe recordings with a saved folder (Whisper, or wav2vec 2.0 and its kin), by transformers' pipeline alone.

Does not import headstart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

BATCH = 8
CHUNK = 32  # recordings read at once, and sorted by length: a batch decodes until its longest text ends
SAMPLE_RATE_HZ = 16_000
WINDOW_S = 30.0  # longer recordings are transcribed in parts
SILENCE_PEAK = 1e-4  # of full scale: a part without sound is not made words of


def prepare() -> None:
    """Import what loading needs."""
    from transformers import AutoModelForCTC, WhisperForConditionalGeneration, pipeline  # noqa: F401


def load(folder: str) -> tuple[Any, Callable[..., Any]]:
    """The stock pipeline, and the reader of recordings."""
    import transformers

    # a sibling file, both as a script and inside the package
    decode = import_module(f"{__package__}.decode" if __package__ else "decode")

    transformers.logging.set_verbosity_error()
    return transformers.pipeline("automatic-speech-recognition", model=folder), decode.read_audio


def predict(loaded: tuple[Any, Callable[..., Any]], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """{"text": …} for each path, in order, with {"segments": [{"start", "end", "text"}]} where a recording is longer
    than the window: it is cut in its pauses.
    """
    pauses = import_module(f"{__package__}.pauses" if __package__ else "pauses")  # a sibling file
    run: list[str] = []
    for path in inputs:
        if pauses.seconds(path) > WINDOW_S:
            yield from _short(loaded, run)
            yield _long(loaded[0], pauses.parts(path, SAMPLE_RATE_HZ))
            run = []
        else:
            run.append(path)
    yield from _short(loaded, run)


def _batch(pipeline: Any) -> int:
    """Recordings at once: those that a recogniser over frames gets together would be written on into the padding."""
    return BATCH if pipeline.model.config.is_encoder_decoder else 1


def _long(pipeline: Any, parts: Iterator[tuple[float, float, Any]]) -> dict[str, Any]:
    """A recording in parts, some of them at once: an hour takes no more memory than a few minutes."""
    segments: list[dict[str, Any]] = []
    waiting: list[tuple[float, float, Any]] = []

    def transcribe() -> None:
        spoken = [p for p in waiting if abs(p[2]).max() >= SILENCE_PEAK]
        given = [{"raw": samples, "sampling_rate": SAMPLE_RATE_HZ} for _, _, samples in spoken]
        texts = [row["text"].strip() for row in pipeline(given, batch_size=_batch(pipeline))] if given else []
        for (start, end, _), text in zip(spoken, texts):
            segments.append({"start": round(start, 2), "end": round(end, 2), "text": text})
        waiting.clear()

    for part in parts:
        waiting.append(part)
        if len(waiting) == BATCH:
            transcribe()
    transcribe()
    return {"text": " ".join(s["text"] for s in segments if s["text"]), "segments": segments}


def _short(loaded: tuple[Any, Callable[..., Any]], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """Recordings that the window holds."""
    pipeline, read_audio = loaded
    for start in range(0, len(inputs), CHUNK):
        recordings = [read_audio(path) for path in inputs[start : start + CHUNK]]
        order = sorted(range(len(recordings)), key=lambda i: len(recordings[i]))
        sorted_inputs = [{"raw": recordings[i], "sampling_rate": SAMPLE_RATE_HZ} for i in order]
        texts = [row["text"].strip() for row in pipeline(sorted_inputs, batch_size=_batch(pipeline))]
        yield from ({"text": text} for _, text in sorted(zip(order, texts)))


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
