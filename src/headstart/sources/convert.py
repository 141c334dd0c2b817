"""Turn weights as packages ship them into standard timm and transformers folders."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

from headstart.errors import ModelError
from headstart.sources.ctranslate2 import read_tensors, whisper_state

# What timm reads back from config.json; None-valued and source-only fields are left out.
PRETRAINED_FIELDS = (
    "tag", "custom_load", "input_size", "fixed_input_size", "interpolation", "crop_pct", "crop_mode",
    "mean", "std", "num_classes", "pool_size", "first_conv", "classifier", "license",
)  # fmt: skip

WHISPER_START, WHISPER_END, WHISPER_PREVIOUS, WHISPER_NO_TIMESTAMPS = 50257, 50256, 50360, 50362


def convert_efficientnet_lite(pth: Path, out: Path, architecture: str) -> None:
    """Write an EfficientNet-Lite state dict as a timm folder that `timm.create_model("local-dir:...")` loads.

    The tensors map by position onto timm's state dict of that architecture.
    Raises ModelError if their number or a shape differs.
    """
    import torch
    from safetensors.torch import save_file

    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()
    import timm

    model = timm.create_model(architecture, pretrained=False)
    theirs = torch.load(pth, map_location="cpu", weights_only=True)
    ours = model.state_dict()
    if [tuple(value.shape) for value in theirs.values()] != [tuple(value.shape) for value in ours.values()]:
        raise ModelError(
            f"{pth.name} does not have the tensor shapes of {architecture}. Use the catalog's version of it."
        )
    state = {name: value.contiguous() for name, value in zip(ours, theirs.values())}
    out.mkdir(parents=True, exist_ok=True)
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    defaults = model.pretrained_cfg
    config = {
        "architecture": architecture,
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "pretrained_cfg": {key: defaults[key] for key in PRETRAINED_FIELDS if defaults.get(key) is not None},
    }
    _write_json(out / "config.json", config)


def convert_ctranslate2_whisper(folder: Path, out: Path) -> None:
    """Write a CTranslate2 English Whisper as a transformers folder: weights in float32, tokenizer, log-mel settings.

    folder: holds model.bin, config.json, tokenizer.json. Raises ModelError if the tensors do not fit Whisper.
    """
    import torch
    from safetensors.torch import save_file

    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    spec, tensors = read_tensors(folder / "model.bin")
    if spec != "WhisperSpec":
        raise ModelError(f"{folder / 'model.bin'} holds a {spec}, not a Whisper. Use the catalog's version of it.")
    state = {name: torch.from_numpy(value.copy()) for name, value in whisper_state(tensors).items()}
    settings = json.loads((folder / "config.json").read_text())
    config = WhisperConfig(
        **_whisper_shape(tensors), architectures=["WhisperForConditionalGeneration"], dtype="float32"
    )
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(config)
    try:
        missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise ModelError(f"The Whisper file has tensors of the wrong shape. Fetch it again. ({error})") from error
    if set(missing) != {"proj_out.weight"} or unexpected:  # proj_out is tied to the token embedding
        raise ModelError(f"The Whisper file lacks {missing} and has extra {unexpected}. Fetch it again.")
    out.mkdir(parents=True, exist_ok=True)
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(out)
    _whisper_generation(settings).save_pretrained(out)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(out)
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")
    _write_json(out / "tokenizer_config.json", _WHISPER_TOKENIZER)


def convert_gguf(file: Path, out: Path) -> None:
    """Write a decoder's GGUF file as a transformers folder: weights in float32, tokenizer, chat template.

    Weights that were quantised stay as coarse as they were. Raises ModelError if transformers cannot read the file.
    """
    import torch
    import transformers

    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.logging.disable_progress_bar()
    given: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # transformers leaves this progress bar on
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **given)
            read = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **given)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise ModelError(f"{file.name} cannot be read as a GGUF file ({str(error)[:200]}). Fetch it again.") from error
    config = read.config
    if hasattr(config, "quantization_config"):  # its weights are ordinary numbers by now
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict())
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


_WHISPER_TOKENIZER = {
    "tokenizer_class": "WhisperTokenizer",
    "processor_class": "WhisperProcessor",
    "add_prefix_space": False,
    "bos_token": "<|endoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "model_max_length": 1024,
    "predict_timestamps": False,
    "clean_up_tokenization_spaces": False,
}


def _whisper_shape(tensors: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of WhisperConfig, read from the tensors' shapes."""
    vocabulary, width = tensors["decoder/embeddings/weight"].shape
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "num_mel_bins": tensors["encoder/conv1/weight"].shape[1],
        "encoder_layers": _layers(tensors, "encoder"),
        "decoder_layers": _layers(tensors, "decoder"),
        "encoder_attention_heads": int(tensors["encoder/num_heads"]),
        "decoder_attention_heads": int(tensors["decoder/num_heads"]),
        "encoder_ffn_dim": tensors["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        "decoder_ffn_dim": tensors["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        "max_source_positions": tensors["encoder/position_encodings/encodings"].shape[0],
        "max_target_positions": tensors["decoder/position_encodings/encodings"].shape[0],
        "decoder_start_token_id": WHISPER_START,
    }


def _layers(tensors: dict[str, Any], part: str) -> int:
    return sum(name.startswith(f"{part}/layer_") and name.endswith("/self_attention/linear_0/bias") for name in tensors)


def _whisper_generation(settings: dict[str, Any]) -> Any:
    """GenerationConfig of an English-only Whisper; generate() itself adds the no-timestamps token to the prompt."""
    from transformers import GenerationConfig

    return GenerationConfig(
        decoder_start_token_id=WHISPER_START,
        bos_token_id=WHISPER_END,
        eos_token_id=WHISPER_END,
        pad_token_id=WHISPER_END,
        prev_sot_token_id=WHISPER_PREVIOUS,
        no_timestamps_token_id=WHISPER_NO_TIMESTAMPS,
        max_length=448,
        max_initial_timestamp_index=50,
        is_multilingual=False,
        return_timestamps=False,
        suppress_tokens=settings["suppress_ids"],
        begin_suppress_tokens=settings["suppress_ids_begin"],
        alignment_heads=settings["alignment_heads"],
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
