"""Turn texts into texts with a saved encoder-decoder or decoder folder, by transformers alone. Does not import
headstart.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

BATCH = 16
CHUNK = 64  # texts sorted by length together: a batch decodes until its longest answer ends


def prepare() -> None:
    """Import what loading needs."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer  # noqa: F401


def load(folder: str) -> tuple[Any, Any]:
    """Tokenizer and model."""
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    transformers.logging.set_verbosity_error()
    both = AutoConfig.from_pretrained(folder).is_encoder_decoder
    kind = AutoModelForSeq2SeqLM if both else AutoModelForCausalLM
    return AutoTokenizer.from_pretrained(folder), kind.from_pretrained(folder).eval()


def predict(loaded: tuple[Any, Any], inputs: list[str]) -> Iterator[dict[str, Any]]:
    """One {"text": …} for each text, in order."""
    tokenizer, model = loaded
    answer = _rewritten if model.config.is_encoder_decoder else _continued
    for start in range(0, len(inputs), CHUNK):
        chunk = inputs[start : start + CHUNK]
        order = sorted(range(len(chunk)), key=lambda i: len(chunk[i]))
        answers = [""] * len(chunk)
        for first in range(0, len(order), BATCH):
            part = order[first : first + BATCH]
            for i, text in zip(part, answer(tokenizer, model, [chunk[i] for i in part])):
                answers[i] = text.strip()
        yield from ({"text": text} for text in answers)


def _rewritten(tokenizer: Any, model: Any, texts: list[str]) -> list[str]:
    """What an encoder-decoder makes of texts with its prompt before them."""
    import torch

    prompt = getattr(model.config, "prefix", None) or ""
    given = tokenizer([prompt + text for text in texts], padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        made = model.generate(input_ids=given["input_ids"], attention_mask=given["attention_mask"])
    found: list[str] = tokenizer.batch_decode(made, skip_special_tokens=True)
    return found


def _continued(tokenizer: Any, model: Any, texts: list[str]) -> list[str]:
    """What a decoder writes behind the prompts."""
    import torch

    stock = import_module(f"{__package__}.prompts" if __package__ else "prompts")  # a sibling file
    rows = stock.prompts(tokenizer, model.config, texts, tokenizer.model_max_length)
    ids, mask = map(torch.tensor, stock.left_padded(rows, model.generation_config.pad_token_id))
    with torch.inference_mode():
        made = model.generate(input_ids=ids, attention_mask=mask)
    found: list[str] = tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)
    return found


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
