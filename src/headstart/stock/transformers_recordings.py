"""Classify recordings with a saved folder, by transformers alone. Does not import headstart.

The stock class for audio classification; each recording by itself, because some networks see padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

MAX_SECONDS = 30.0  # what is read of a recording; training read no more


def prepare() -> None:
    """Import what loading needs."""
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification  # noqa: F401


def load(folder: str) -> tuple[Callable[[str], Any], Callable[[Any], tuple[Any, Any]], Any, Any]:
    """Reader of encoded recordings, a function from these to logits and features, what makes rows, what runs parts."""
    import transformers
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    # sibling files, both as a script and inside the package
    names = ("decode", "side_by_side", "label_sets")
    decode, parallel, label_sets = (import_module(f"{__package__}.{name}" if __package__ else name) for name in names)

    transformers.logging.set_verbosity_error()
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    model = AutoModelForAudioClassification.from_pretrained(folder).eval()
    rate = int(extractor.sampling_rate)

    def read(path: str) -> Any:
        samples = decode.read_audio(path, rate, MAX_SECONDS)
        return extractor(samples, sampling_rate=rate, return_tensors="pt")[extractor.model_input_names[0]]

    classes = [model.config.id2label[i] for i in range(model.config.num_labels)]
    return read, lambda values: _classify(model, values), label_sets.rows_of(folder, classes), parallel.side_by_side


def _classify(model: Any, values: Any) -> tuple[Any, Any]:
    """Logits (1, C) of one recording, and what the head reads (1, D)."""
    from torch.nn.functional import layer_norm

    encoder = model.encoder if hasattr(model, "encoder") else getattr(model, model.base_model_prefix)
    output = encoder(values)
    if hasattr(model, "projector"):
        pooled = output.last_hidden_state.mean(1)  # (1, T, D) -> (1, D)
        # the mean of projected frames is the projection of their mean
        return model.classifier(model.projector(pooled)), pooled
    pooled = output.pooler_output
    return model.classifier(pooled), layer_norm(pooled, pooled.shape[-1:], eps=model.config.layer_norm_eps)


def predict(
    loaded: tuple[Callable[[str], Any], Callable[[Any], tuple[Any, Any]], Any, Any],
    inputs: list[str],
    features: bool = False,
) -> Iterator[dict[str, Any]]:
    """One {"probabilities": {class: p}} for each path, in order; with features also {"features": [D numbers]}."""
    import torch

    read, classify, rows_of, side_by_side = loaded

    def work(path: str) -> dict[str, Any]:
        with torch.inference_mode():
            logits, pooled = classify(read(path))
            row: dict[str, Any] = rows_of(logits)[0]
            return {**row, "features": pooled[0].tolist()} if features else row

    yield from side_by_side(work, inputs)


if __name__ == "__main__":
    from driver import main  # type: ignore[import-not-found]

    main(prepare, load, predict)
