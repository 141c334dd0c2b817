"""Tiny random networks of every family, and batches of mixed lengths for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from headstart.stock import torchvision_ops

WIDTH, LAYERS, VOCABULARY = 32, 3, 50
DECODER_LAYERS = 2
IMAGE_SIZES = {"test_vit": 160, "swin_tiny_patch4_window7_224": 64}  # others: 32
LENGTHS = (21, 5, 13, 3, 9)  # tokens; exported with 3 examples of 11
EQUAL_LENGTHS = (17,) * 5
TARGETS = (4, 6, 3, 9, 2)  # decoder tokens

_ENCODER = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": VOCABULARY,
}
_DEBERTA = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "max_position_embeddings": 48,
    "conv_kernel_size": 3,
}
_T5 = {"d_model": WIDTH, "num_layers": LAYERS, "num_heads": 2, "d_ff": 64, "d_kv": 16, "vocab_size": VOCABULARY}
_SEQ2SEQ = {
    "d_model": WIDTH,
    "encoder_layers": DECODER_LAYERS,
    "decoder_layers": DECODER_LAYERS,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "vocab_size": VOCABULARY,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
_WAVES = {
    **_ENCODER,
    "num_hidden_layers": 2,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 2, 2),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
_SWIN = {"img_size": 64, "window_size": 4, "embed_dim": 16, "depths": (1, 2, 1), "num_heads": (1, 2, 2)}
_AST = {"num_mel_bins": 16, "max_length": 40, "patch_size": 8, "frequency_stride": 4, "time_stride": 4}

TIMM: dict[str, dict[str, Any]] = {
    "test_resnet": {},
    "vgg11": {"mlp_ratio": 0.01},
    "tf_efficientnet_lite0": {},
    "mobilenetv3_small_050": {},
    "test_convnext": {},
    "test_vit": {},
    "swin_tiny_patch4_window7_224": _SWIN,
}
TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertModel", "BertConfig", _ENCODER),
    "roberta": ("RobertaModel", "RobertaConfig", {**_ENCODER, "max_position_embeddings": 48}),
    "distilbert": (
        "DistilBertModel",
        "DistilBertConfig",
        {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 64, "vocab_size": VOCABULARY},
    ),
    "deberta-v2": ("DebertaV2Model", "DebertaV2Config", {**_ENCODER, **_DEBERTA}),
    "modernbert": (
        "ModernBertModel",
        "ModernBertConfig",
        {**_ENCODER, "local_attention": 6, "global_attn_every_n_layers": 2, "pad_token_id": 0},
    ),
    "gpt2": ("GPT2Model", "GPT2Config", {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 2, "vocab_size": VOCABULARY}),
    "llama": ("LlamaModel", "LlamaConfig", {**_ENCODER, "num_key_value_heads": 1}),
    "t5": ("T5EncoderModel", "T5Config", _T5),
    "t5-seq2seq": ("T5ForConditionalGeneration", "T5Config", {**_T5, "num_layers": DECODER_LAYERS}),
    "bart": ("BartForConditionalGeneration", "BartConfig", _SEQ2SEQ),
    "marian": ("MarianMTModel", "MarianConfig", _SEQ2SEQ),
    "whisper": (
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {**_SEQ2SEQ, "num_mel_bins": 8, "max_source_positions": 20},
    ),
    "wav2vec2-layer": (
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        {**_WAVES, "feat_extract_norm": "layer", "do_stable_layer_norm": True},
    ),
    "wav2vec2-group": ("Wav2Vec2Model", "Wav2Vec2Config", {**_WAVES, "feat_extract_norm": "group"}),
    "hubert": ("HubertModel", "HubertConfig", {**_WAVES, "feat_extract_norm": "layer"}),
    "wavlm": ("WavLMModel", "WavLMConfig", {**_WAVES, "feat_extract_norm": "layer"}),
    "ast": ("ASTModel", "ASTConfig", {**_ENCODER, **_AST}),
    "whisper-encoder": (
        "WhisperModel",
        "WhisperConfig",
        {**_SEQ2SEQ, "num_mel_bins": 8, "max_source_positions": 20},
    ),
}
FAMILIES = (*TIMM, *TRANSFORMERS)


def build(family: str) -> Any:
    """A network of this family with random weights, in evaluation mode."""
    torchvision_ops.ensure()
    torch.manual_seed(0)
    if family in TIMM:
        import timm

        model = timm.create_model(family, num_classes=0, **TIMM[family])
    else:
        import transformers

        model_name, config_name, settings = TRANSFORMERS[family]
        model = getattr(transformers, model_name)(getattr(transformers, config_name)(**settings))
        model = model.encoder if family == "whisper-encoder" else model
    return _every_weight_counts(model)


def _every_weight_counts(module: nn.Module) -> nn.Module:
    """Zero-initialised branches and untouched norms would hide a fault."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def batch(inputs: dict[str, torch.Tensor], lengths: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Inputs like the example's, of other sizes; of audio a length is a third of a frame more than a frame."""
    generator = torch.Generator().manual_seed(2)
    values: dict[str, torch.Tensor] = {}
    for name, example in inputs.items():
        if name == "input_ids":
            values[name] = torch.randint(3, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
        elif name == "decoder_input_ids":
            values[name] = torch.randint(3, VOCABULARY, (len(lengths), max(TARGETS)), generator=generator)
        elif name == "input_values":
            values[name] = torch.randn(len(lengths), max(map(samples, lengths)), generator=generator)
        elif name == "attention_mask":
            real = lengths if "input_ids" in inputs else tuple(map(samples, lengths))
            values[name] = (torch.arange(max(real)) < torch.tensor(real)[:, None]).to(torch.int64)
        else:
            count = 4 if len(inputs) == 1 else len(lengths)
            values[name] = torch.randn(count, *example.shape[1:], generator=generator)
    if "attention_mask" in values:
        padded = "input_ids" if "input_ids" in inputs else "input_values"
        values[padded] = values[padded] * values["attention_mask"]
    return values


def samples(length: int) -> int:
    """Samples of an audio example: 20 make a frame."""
    return 27 * length + 60


def alone(values: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """One example of a batch, without its padding."""
    real = int(values["attention_mask"][row].sum()) if "attention_mask" in values else None
    ends = {"decoder_input_ids": TARGETS[row], "input_ids": real, "input_values": real, "attention_mask": real}
    return {n: v[row : row + 1, : ends[n]] if n in ends else v[row : row + 1] for n, v in values.items()}
