"""Tiny checkpoints in the standard layouts, and tiny data sets of the three shapes, all made here."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file

from headstart.stock import torchvision_ops


def image_model(folder: Path) -> Path:
    """A timm folder: a very small EfficientNet for 64x64 pixels."""
    torchvision_ops.ensure()
    import timm

    torch.manual_seed(0)
    model: Any = timm.create_model("test_efficientnet", num_classes=10)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    keep = ("mean", "std", "interpolation", "crop_pct", "classifier", "first_conv")
    settings = {k: model.pretrained_cfg[k] for k in keep} | {"input_size": [3, 64, 64], "num_classes": 10}
    config = {"architecture": "test_efficientnet", "num_classes": 10, "num_features": 256, "pretrained_cfg": settings}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def image_data(folder: Path, per_class: int = 30) -> Path:
    """Class folders: bright blobs left or right on noise; one damaged file and a stray text file."""
    rng = np.random.default_rng(0)
    for side, name in enumerate(("left", "right")):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.integers(0, 90, (64, 64, 3))
            row, column = rng.integers(8, 40), rng.integers(2, 14) + 32 * side
            pixels[row : row + 16, column : column + 14] += 140
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:03}.png")
    whole = (folder / "left" / "000.png").read_bytes()
    (folder / "left" / "broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not an image")
    return folder


WORDS = ["the", "a", "of", "is", "red", "blue", "cat", "dog", "runs", "sleeps", "house", "tree", "good", "bad"]


def text_model(folder: Path, width: int = 32) -> Path:
    """A transformers folder: a BERT of two layers with a word-level tokenizer."""
    torchvision_ops.ensure()
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def text_data(file: Path, per_class: int = 40) -> Path:
    """A table whose classes differ by one word in sentences of mixed length; one empty text, one missing label."""
    rng = np.random.default_rng(1)
    rows = []
    for name, word in (("animal", "cat"), ("place", "house"), ("judgement", "good")):
        for _ in range(per_class):
            words = list(rng.choice(WORDS[:6], size=rng.integers(3, 24)))
            words.insert(int(rng.integers(len(words))), word)
            rows.append((" ".join(words), name))
    rows += [("", "animal"), ("the cat", "")]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return file


def speech_model(folder: Path) -> Path:
    """A transformers folder: a Whisper of one layer each with a byte-level tokenizer."""
    torchvision_ops.ensure()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizerFast,
    )

    special = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {t: i for i, t in enumerate([*letters, *special])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    folder.mkdir(parents=True)
    core.add_special_tokens(special)
    core.save(str(folder / "tokenizer.json"))
    end, start, plain = (vocabulary[t] for t in special)
    tokenizer = WhisperTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        bos_token=special[0],
        eos_token=special[0],
        pad_token=special[0],
        unk_token=special[0],
        additional_special_tokens=special[1:],
    )
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(vocabulary),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        max_target_positions=48,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config.no_timestamps_token_id = plain
    model.generation_config.is_multilingual = False
    model.generation_config.suppress_tokens = []
    model.generation_config.begin_suppress_tokens = []
    model.save_pretrained(folder)
    return folder


def speech_data(folder: Path, clips: int = 24) -> Path:
    """Train and test folders with metadata.csv; tones of two pitches are two words; NaN and silent clips among them."""
    rng = np.random.default_rng(2)
    time = np.arange(8000) / 8000
    for split, count in (("train", clips), ("test", clips // 2)):
        (folder / split).mkdir(parents=True)
        rows = []
        for i in range(count):
            pitch, word = ((300, "low tone"), (1500, "high tone"))[i % 2]
            samples = 0.4 * np.sin(2 * np.pi * pitch * time) + 0.05 * rng.normal(size=8000)
            soundfile.write(folder / split / f"{i}.wav", samples, 8000)
            rows.append((f"{i}.wav", word))
        if split == "train":
            soundfile.write(folder / split / "nan.wav", np.full(4000, np.nan), 8000, subtype="FLOAT")
            soundfile.write(folder / split / "silent.wav", np.zeros(4000), 8000)
            rows += [("nan.wav", "low tone"), ("silent.wav", "low tone"), ("missing.wav", "low tone")]
        with (folder / split / "metadata.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file_name", "transcription"])
            writer.writerows(rows)
    return folder
