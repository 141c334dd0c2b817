"""Classify texts with a saved folder, by transformers alone. Does not import headstart.

A folder with modules.json is in sentence-transformers' layout (network, mean over tokens, dense layer to the logits);
any other is a stock sequence classifier on BERT's pooler or on a decoder's last token. The former may also have a
windows.json: then longer texts than the network reads are read in windows, and the mean is over all their tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

CHUNK = 512  # texts sorted by length together; their answers come out together
BATCH_TOKENS = 1024  # of a batch, padding included


def prepare() -> None:
    """Import what loading needs."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer  # noqa: F401


def load(folder: str) -> tuple[Any, Callable[[dict[str, Any], Any], Any], Any, int]:
    """Tokenizer, a function from tokens to logits and pooled features, what makes rows of logits, and windows.

    The function takes (P, T) tokens and each row's text (P,), and gives (B, C) and (B, D) for B texts. windows: of one
    text that are read at most.
    """
    import torch
    import transformers
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    label_sets = _sibling("label_sets")
    root = Path(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not (root / "modules.json").is_file():
        classifier = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        names = [classifier.config.id2label[i] for i in range(classifier.config.num_labels)]
        return tokenizer, lambda tokens, _: _classify(classifier, tokens), label_sets.rows_of(folder, names), 1
    # of an encoder-decoder only the encoder was saved, which AutoModel does not see
    encoder = getattr(transformers, AutoConfig.from_pretrained(folder).architectures[0]).from_pretrained(folder).eval()
    modules = json.loads((root / "modules.json").read_text(encoding="utf-8"))
    dense = load_file(root / modules[-1]["path"] / "model.safetensors")
    unit_length = any(module["type"].endswith("Normalize") for module in modules)

    def logits(tokens: dict[str, Any], text: Any) -> Any:
        states = encoder(**tokens).last_hidden_state  # (P, T, D)
        keep = tokens["attention_mask"].unsqueeze(-1).float()
        sums, counts = torch.zeros(int(text[-1]) + 1, states.shape[-1]), torch.zeros(int(text[-1]) + 1, 1)
        pooled = sums.index_add(0, text, (states * keep).sum(1)) / counts.index_add(0, text, keep.sum(1))  # (B, D)
        pooled = torch.nn.functional.normalize(pooled) if unit_length else pooled
        return pooled @ dense["linear.weight"].T + dense["linear.bias"], pooled

    names = [encoder.config.id2label[i] for i in range(len(dense["linear.bias"]))]
    return tokenizer, logits, label_sets.rows_of(folder, names), _sibling("windows").windows_of(folder)


def _sibling(name: str) -> Any:
    """A file beside this one."""
    return import_module(f"{__package__}.{name}" if __package__ else name)


def _classify(classifier: Any, tokens: dict[str, Any]) -> tuple[Any, Any]:
    """Logits (B, C) of a stock classifier, and what its last layer reads (B, D)."""
    output = getattr(classifier, classifier.base_model_prefix)(**tokens)
    if not hasattr(classifier, "score"):
        return classifier.classifier(output.pooler_output), output.pooler_output
    last = tokens["attention_mask"].sum(1) - 1  # (B,); padding is on the right
    pooled = output.last_hidden_state[range(len(last)), last]  # (B, T, D) -> (B, D)
    return classifier.score(pooled), pooled


def predict(
    loaded: tuple[Any, Callable[[dict[str, Any], Any], Any], Any, int], inputs: list[str], features: bool = False
) -> Iterator[dict[str, Any]]:
    """One {"probabilities": {class: p}} for each text, in order; with features also {"features": [D numbers]}."""
    for start in range(0, len(inputs), CHUNK):
        yield from _predict_chunk(loaded, inputs[start : start + CHUNK], features)


def _predict_chunk(
    loaded: tuple[Any, Callable[[dict[str, Any], Any], Any], Any, int], texts: list[str], features: bool
) -> list[dict[str, Any]]:
    """In batches of similar length, so that little is padded."""
    import torch

    tokenizer, classify, rows_of, most = loaded
    if most > 1:
        windows = _sibling("windows").windows(tokenizer, texts, most)
    else:
        windows = [[ids] for ids in _sibling("pairs").tokens(tokenizer, texts, truncation=True)]
    for of_one in windows:
        of_one[-1] = _without_padding(of_one[-1], tokenizer.pad_token_id)
    rows: list[dict[str, Any]] = [{}] * len(texts)

    def work(batch: tuple[dict[str, Any], Any]) -> list[dict[str, Any]]:
        with torch.inference_mode():
            logits, pooled = classify(*batch)
            found: list[dict[str, Any]] = rows_of(logits)
            if features:
                found = [{**row, "features": values} for row, values in zip(found, pooled.tolist())]
        return found

    # the longest first, so that at the end no core waits long for another; tokenizers are not for several threads
    parts = list(_batches([sum(map(len, of_one)) for of_one in windows]))[::-1]
    padded = []
    for part in parts:
        ids = [window for i in part for window in windows[i]]
        text = torch.tensor([place for place, i in enumerate(part) for _ in windows[i]])
        padded.append((dict(tokenizer.pad({"input_ids": ids}, return_tensors="pt")), text))
    for part, found in zip(parts, _sibling("side_by_side").side_by_side(work, padded)):
        for i, row in zip(part, found):
            rows[i] = row
    return rows


def _without_padding(ids: list[int], padding: int) -> list[int]:
    """The tokens before trailing padding: a stock decoder reads the last that is none, also where a text ends in it."""
    end = len(ids)
    while end > 1 and ids[end - 1] == padding:
        end -= 1
    return ids[:end] or [padding]


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Positions in order of length, as many at a time as BATCH_TOKENS allows, at least one."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[i] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
