"""Turn texts into texts with a saved encoder-decoder folder, by transformers alone. Does not import headstart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BATCH = 16
CHUNK = 256  # texts sorted by length together: a batch decodes until its longest answer ends


def prepare() -> None:
    """Import what loading needs."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer  # noqa: F401


def load(folder: str) -> tuple[Any, Any, str]:
    """Tokenizer, model, and what is put before each text."""
    import transformers
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    transformers.logging.set_verbosity_error()
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    return AutoTokenizer.from_pretrained(folder), model, getattr(model.config, "prefix", None) or ""


def predict(loaded: tuple[Any, Any, str], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """One {"text": …} for each text, in order."""
    import torch

    tokenizer, model, prompt = loaded
    for start in range(0, len(inputs), CHUNK):
        chunk = [prompt + text for text in inputs[start : start + CHUNK]]
        order = sorted(range(len(chunk)), key=lambda i: len(chunk[i]))
        answers = [""] * len(chunk)
        for first in range(0, len(order), BATCH):
            part = order[first : first + BATCH]
            tokens = tokenizer([chunk[i] for i in part], padding=True, truncation=True, return_tensors="pt")
            given = {name: tokens[name] for name in ("input_ids", "attention_mask")}
            with torch.inference_mode():
                texts = tokenizer.batch_decode(model.generate(**given), skip_special_tokens=True)
            for i, text in zip(part, texts):
                answers[i] = text.strip()
        yield from ({"text": text} for text in answers)


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
