"""Transcribe recordings with a saved Whisper folder, by transformers' pipeline alone. Does not import headstart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

BATCH = 8
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
    for start in range(0, len(inputs), BATCH):
        recordings = [{"raw": read_audio(p), "sampling_rate": SAMPLE_RATE_HZ} for p in inputs[start : start + BATCH]]
        for row in pipeline(recordings, batch_size=BATCH):
            yield {"text": row["text"].strip()}


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
