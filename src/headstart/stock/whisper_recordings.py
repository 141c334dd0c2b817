"""Transcribe recordings with a saved Whisper folder, by transformers' pipeline alone. Does not import headstart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

BATCH = 8
CHUNK = 64  # recordings read at once, and sorted by length: a batch decodes until its longest text ends
SAMPLE_RATE_HZ = 16_000


def prepare() -> None:
    """Import what loading needs."""
    from transformers import WhisperForConditionalGeneration, pipeline  # noqa: F401


def load(folder: str) -> tuple[Any, Callable[..., Any]]:
    """The stock pipeline, and the reader of recordings."""
    import transformers

    # a sibling file, both as a script and inside the package
    decode = import_module(f"{__package__}.decode" if __package__ else "decode")

    transformers.logging.set_verbosity_error()
    return transformers.pipeline("automatic-speech-recognition", model=folder), decode.read_audio


def predict(loaded: tuple[Any, Callable[..., Any]], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """One {"text": …} for each path, in order."""
    pipeline, read_audio = loaded
    for start in range(0, len(inputs), CHUNK):
        recordings = [read_audio(path) for path in inputs[start : start + CHUNK]]
        order = sorted(range(len(recordings)), key=lambda i: len(recordings[i]))
        sorted_inputs = [{"raw": recordings[i], "sampling_rate": SAMPLE_RATE_HZ} for i in order]
        texts = [row["text"].strip() for row in pipeline(sorted_inputs, batch_size=BATCH)]
        yield from ({"text": text} for _, text in sorted(zip(order, texts)))


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
