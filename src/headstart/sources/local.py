"""Recognise a model folder on this machine: timm's layout, transformers' layout, or an earlier run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.errors import ModelError
from headstart.sources.digest import weight_files
from headstart.types import ModelSource

UNKNOWN = "unknown"

# transformers' model_type -> what goes in. timm models take images.
MODALITIES: dict[str, str] = {
    **dict.fromkeys(
        ("whisper", "wav2vec2", "wav2vec2-bert", "wav2vec2-conformer", "hubert", "wavlm", "unispeech", "unispeech-sat",
         "sew", "sew-d", "data2vec-audio", "audio-spectrogram-transformer", "speech_to_text", "clap", "moonshine"),
        "audio",
    ),
    **dict.fromkeys(
        ("vit", "deit", "beit", "dinov2", "dinov3_vit", "dinov3_convnext", "swin", "swinv2", "resnet", "convnext",
         "convnextv2", "efficientnet", "mobilenet_v1", "mobilenet_v2", "mobilevit", "mobilevitv2", "regnet", "pvt",
         "pvt_v2", "levit", "cvt", "poolformer", "focalnet", "vit_mae", "vit_msn", "data2vec-vision", "ijepa", "hiera",
         "detr", "conditional_detr", "deformable_detr", "rt_detr", "rt_detr_v2", "d_fine", "yolos", "timm_wrapper"),
        "image",
    ),
    **dict.fromkeys(
        ("bert", "distilbert", "roberta", "xlm-roberta", "xlm-roberta-xl", "albert", "electra", "deberta", "deberta-v2",
         "modernbert", "mpnet", "camembert", "xlm", "xlnet", "ernie", "layoutlm", "squeezebert", "funnel", "longformer",
         "big_bird", "nomic_bert", "data2vec-text", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "mistral", "qwen2",
         "qwen3", "gemma", "gemma2", "gemma3_text", "phi", "phi3", "opt", "bloom", "falcon", "olmo", "olmo2",
         "smollm3", "t5", "mt5", "umt5", "longt5", "bart", "mbart", "marian", "m2m_100", "pegasus", "pegasus_x",
         "blenderbot", "led", "prophetnet", "encoder-decoder"),
        "text",
    ),
}  # fmt: skip


def describe(folder: Path, model_id: str = "", origin: str = "local", revision: str = "") -> ModelSource:
    """Describe the pretrained model in a folder, or in an earlier run's model/ folder.

    model_id: what the user typed; the folder's path by default. Raises ModelError that names what is missing.
    """
    given = folder
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder. Give the folder that holds config.json and model.safetensors.")
    if (folder / "result.json").is_file():
        folder, origin = _model_of_run(folder), "run"
    config = _json(folder / "config.json")
    if not config:
        raise ModelError(
            f"{folder} has no config.json. Give a folder that timm or transformers saved, or a run folder."
        )
    if not weight_files(folder):
        raise ModelError(f"{folder} has a config.json but no weights. Add its model.safetensors.")
    record = _json(folder / "headstart.json")
    library, architecture = _layout(config, folder)
    return ModelSource(
        id=model_id or str(given),
        folder=folder,
        library=library,
        architecture=architecture,
        modality="image" if library == "timm" else _modality(architecture, folder),
        licence=str(record.get("licence") or _card_licence(folder) or _timm_licence(config)),
        source_domain=str(record.get("source_domain") or UNKNOWN),
        origin=origin,
        revision=revision,
    )


def is_model_folder(folder: Path) -> bool:
    """Whether the folder looks like a model's or a run's, complete or not."""
    return any((folder / name).is_file() for name in ("config.json", "result.json"))


def _model_of_run(run: Path) -> Path:
    if not (run / "model").is_dir():
        raise ModelError(f"The run {run} has no model/ folder, so it did not finish. Give a finished run.")
    return run / "model"


def _layout(config: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Library and architecture name. A timm model wrapped by transformers counts as timm."""
    if isinstance(config.get("architecture"), str):
        return "timm", config["architecture"]
    if isinstance(config.get("model_type"), str):
        return "transformers", config["model_type"]
    raise ModelError(
        f"{folder / 'config.json'} names neither a timm 'architecture' nor a transformers 'model_type'. "
        "Save the model with save_pretrained (transformers) or save_for_hf (timm)."
    )


def _modality(model_type: str, folder: Path) -> str:
    if model_type in MODALITIES:
        return MODALITIES[model_type]
    preprocessor = _json(folder / "preprocessor_config.json")
    if "feature_extractor_type" in preprocessor and "sampling_rate" in preprocessor:
        return "audio"
    if "image_processor_type" in preprocessor or "image_mean" in preprocessor:
        return "image"
    if (folder / "tokenizer.json").is_file() or (folder / "tokenizer_config.json").is_file():
        return "text"
    raise ModelError(
        f"{folder} is a {model_type!r} model, and nothing in it says whether it takes images, text or audio. "
        "Add its tokenizer.json or preprocessor_config.json."
    )


def _timm_licence(config: dict[str, Any]) -> str:
    settings = config.get("pretrained_cfg")
    return str(settings.get("license") or UNKNOWN) if isinstance(settings, dict) else UNKNOWN


def _card_licence(folder: Path) -> str:
    """The licence in the YAML block that opens a model card; "" if there is none."""
    try:
        lines = (folder / "README.md").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    if not lines or lines[0].strip() != "---":
        return ""
    fields: dict[str, str] = {}
    for line in lines[1:]:
        if line.strip() == "---":
            break
        key, colon, value = line.partition(":")
        if colon and key in ("license", "license_name"):
            fields[key] = value.strip().strip("'\"[]")
    # "other" says nothing; the card then gives the licence's own name.
    named = fields.get("license_name", "") if fields.get("license") in ("other", None) else ""
    return named or fields.get("license", "")


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; {} if the file is missing. Raises ModelError if it is damaged."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}). Copy or fetch the model again.") from error
    return content if isinstance(content, dict) else {}
