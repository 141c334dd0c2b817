"""Read a CTranslate2 `model.bin` and name its Whisper tensors as transformers does."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ModelError

Tensor = NDArray[Any]

DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}

# Names that need no splitting: CTranslate2 -> transformers.
OUTER_NAMES = {
    "encoder/conv1/weight": "encoder.conv1.weight",
    "encoder/conv1/bias": "encoder.conv1.bias",
    "encoder/conv2/weight": "encoder.conv2.weight",
    "encoder/conv2/bias": "encoder.conv2.bias",
    "encoder/position_encodings/encodings": "encoder.embed_positions.weight",
    "encoder/layer_norm/gamma": "encoder.layer_norm.weight",
    "encoder/layer_norm/beta": "encoder.layer_norm.bias",
    "decoder/embeddings/weight": "decoder.embed_tokens.weight",
    "decoder/position_encodings/encodings": "decoder.embed_positions.weight",
    "decoder/layer_norm/gamma": "decoder.layer_norm.weight",
    "decoder/layer_norm/beta": "decoder.layer_norm.bias",
}
# Inside a layer: one CTranslate2 matrix -> the transformers matrices stacked in it.
LAYER_NAMES = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
KINDS = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}


def read_tensors(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Read the specification's name and all tensors of a `model.bin`. Raises ModelError if it is cut short."""
    data = path.read_bytes()
    position = 0

    def number(code: str) -> int:
        nonlocal position
        value: int = struct.unpack_from("<" + code, data, position)[0]
        position += struct.calcsize("<" + code)
        return value

    def text() -> str:
        nonlocal position
        length = number("H")
        position += length
        return data[position - length : position].rstrip(b"\0").decode()

    def tensor() -> Tensor:
        nonlocal position
        shape = [number("I") for _ in range(number("B"))]
        dtype, length = np.dtype(DTYPES[number("B")]), number("I")
        position += length
        return np.frombuffer(data[position - length : position], dtype).reshape(shape)

    try:
        number("I")  # format version
        spec = text()
        number("I")  # revision of the specification
        tensors = {text(): tensor() for _ in range(number("I"))}
    except (struct.error, KeyError, ValueError) as error:
        raise ModelError(f"{path.name} is not a complete CTranslate2 model ({error}). Fetch it again.") from error
    return spec, tensors


def whisper_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Whisper tensors named as in transformers' WhisperForConditionalGeneration, in float32.

    The tied output projection is left out. Raises ModelError on a tensor that has no counterpart.
    """
    return {
        f"model.{name}": value.astype(np.float32)
        for source, tensor in tensors.items()
        if tensor.dtype.kind == "f"
        for name, value in _renamed(source, tensor)
    }


def _renamed(source: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if source in OUTER_NAMES:
        yield OUTER_NAMES[source], tensor
        return
    part, _, rest = source.partition("/layer_")
    index, _, rest = rest.partition("/")
    module, _, kind = rest.rpartition("/")
    if module not in LAYER_NAMES or kind not in KINDS:
        raise ModelError(f"Tensor {source!r} of the Whisper file is unknown. Use headstart's catalog version of it.")
    targets = LAYER_NAMES[module]
    for target, block in zip(targets, np.split(tensor, len(targets))):
        name = f"{part}.layers.{index}.{target}.{KINDS[kind]}"
        if not name.endswith("k_proj.bias"):  # zero in the file; Whisper's keys have no bias
            yield name, block
