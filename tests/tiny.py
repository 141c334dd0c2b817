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


_WIDE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
# family -> class, settings beside the vocabulary's size, what the tokenizer puts around a text
TEXT_FAMILIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "bert": ("BertModel", {**_WIDE, "num_hidden_layers": 2, "max_position_embeddings": 64}, "[CLS] $A [SEP]"),
    "roberta": ("RobertaModel", {**_WIDE, "max_position_embeddings": 66, "pad_token_id": 0}, "[CLS] $A [SEP]"),
    "distilbert": ("DistilBertModel", {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}, "[CLS] $A [SEP]"),
    "deberta": (
        "DebertaV2Model",
        {**_WIDE, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_position_embeddings": 64},
        "[CLS] $A [SEP]",
    ),
    "modernbert": ("ModernBertModel", {**_WIDE, "local_attention": 6, "pad_token_id": 0}, "[CLS] $A [SEP]"),
    "gpt2": ("GPT2Model", {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64}, "$A"),
    "llama": ("LlamaModel", {**_WIDE, "num_key_value_heads": 1, "max_position_embeddings": 64}, "[CLS] $A"),
    "t5": (
        "T5ForConditionalGeneration",
        {"d_model": 32, "num_layers": 3, "num_heads": 2, "d_ff": 64, "d_kv": 16},
        "$A </s>",
    ),
}
DECODERS = ("gpt2", "llama")


def text_model(folder: Path, family: str = "bert", **settings: Any) -> Path:
    """A transformers folder: a network of two or three layers with a word-level tokenizer; decoders' has no padding."""
    torchvision_ops.ensure()
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    name, given, template = TEXT_FAMILIES[family]
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    if family != "bert":
        vocabulary["</s>"] = len(vocabulary)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(word, vocabulary[word]) for word in template.split() if word != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(template, special_tokens=special)
    tokens = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    if family in DECODERS:
        tokens = {"eos_token": "</s>", "padding_side": "left"}
    torch.manual_seed(0)
    kind: Any = getattr(transformers, name)
    model = kind(kind.config_class(vocab_size=len(vocabulary), **(given | settings)))
    with torch.no_grad():  # norms of ones and biases of zeros would hide a fault
        for parameter in model.parameters() if family != "bert" else ():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(folder)
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


def ctc_model(folder: Path, family: str = "wav2vec2", letters: str = "") -> Path:
    """A transformers folder: an encoder of waves, with a recogniser's layer and vocabulary where letters are given."""
    torchvision_ops.ensure()
    import transformers

    name, settings, extractor, extracted = AUDIO_FAMILIES[family]
    if not letters:
        return audio_model(folder, family)
    from headstart.backbones.transformers_ctc import make_tokenizer

    torch.manual_seed(0)
    tokenizer = make_tokenizer(letters)
    kind: Any = getattr(transformers, name.replace("Model", "ForCTC"))
    kind(kind.config_class(**{**settings, "vocab_size": len(tokenizer), "pad_token_id": 0})).save_pretrained(folder)
    getattr(transformers, extractor)(**extracted).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
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


_AUDIO = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
_WAVES = {
    **_AUDIO,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 4, 4),
    "conv_stride": (5, 4, 4),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
_WHISPER = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "vocab_size": 64, "pad_token_id": 1, "bos_token_id": 1,
    "eos_token_id": 1, "decoder_start_token_id": 2, "max_target_positions": 16,
}  # fmt: skip
# family -> class in the folder, its settings, feature extractor, its settings
AUDIO_FAMILIES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "wav2vec2": (
        "Wav2Vec2Model",
        {**_WAVES, "feat_extract_norm": "layer", "do_stable_layer_norm": True},
        "Wav2Vec2FeatureExtractor",
        {"return_attention_mask": True},
    ),
    "wav2vec2-base": ("Wav2Vec2ForCTC", {**_WAVES, "feat_extract_norm": "group", "vocab_size": 9},
                      "Wav2Vec2FeatureExtractor", {}),
    "hubert": ("HubertModel", {**_WAVES, "feat_extract_norm": "layer"}, "Wav2Vec2FeatureExtractor", {}),
    "wavlm": ("WavLMModel", {**_WAVES, "feat_extract_norm": "layer"}, "Wav2Vec2FeatureExtractor", {}),
    "whisper": ("WhisperForConditionalGeneration", _WHISPER, "WhisperFeatureExtractor", {"feature_size": 80}),
    "ast": (
        "ASTModel",
        {**_AUDIO, "num_mel_bins": 16, "max_length": 80, "patch_size": 8, "frequency_stride": 8, "time_stride": 8},
        "ASTFeatureExtractor",
        {"num_mel_bins": 16, "max_length": 80},
    ),
}  # fmt: skip


def audio_model(folder: Path, family: str = "wav2vec2") -> Path:
    """A transformers folder: an audio encoder of two or three layers with its feature extractor."""
    torchvision_ops.ensure()
    import transformers

    name, settings, extractor, extracted = AUDIO_FAMILIES[family]
    torch.manual_seed(0)
    kind: Any = getattr(transformers, name)
    model = kind(kind.config_class(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    getattr(transformers, extractor)(**extracted).save_pretrained(folder)
    return folder


def audio_data(folder: Path, per_class: int = 24) -> Path:
    """Class folders: low and high tones of mixed lengths, rates and channels; a NaN, a silent and an empty file."""
    rng = np.random.default_rng(3)
    for pitch, name in ((300, "low"), (1500, "high")):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            rate = (8000, 16_000)[i % 2]
            time = np.arange(int(rate * rng.uniform(0.3, 1.2))) / rate
            samples = 0.4 * np.sin(2 * np.pi * pitch * time) + 0.05 * rng.normal(size=len(time))
            stereo = np.stack([samples, 0.5 * samples], 1)
            soundfile.write(folder / name / f"{i:02}.wav", stereo if i % 3 == 0 else samples, rate)
    soundfile.write(folder / "low" / "nan.wav", np.full(4000, np.nan), 8000, subtype="FLOAT")
    soundfile.write(folder / "low" / "silent.wav", np.zeros(4000), 8000)
    soundfile.write(folder / "high" / "empty.wav", np.zeros(0), 8000)
    return folder


# family -> class, settings beside the vocabulary's size and special tokens
PAIR_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("T5ForConditionalGeneration", {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_ff": 64, "d_kv": 16}),
    "bart": (
        "BartForConditionalGeneration",
        {
            "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64,
        },
    ),
    "marian": (
        "MarianMTModel",
        {
            "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64,
        },
    ),
}  # fmt: skip
TRANSLATED = {"the": "das", "a": "ein", "red": "rot", "blue": "blau", "cat": "Katze", "dog": "Hund", "good": "gut"}


def pair_model(folder: Path, family: str = "t5") -> Path:
    """A transformers folder: an encoder-decoder of two layers each over words; T5's configuration has a prompt."""
    torchvision_ops.ensure()
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", "<s>", *WORDS, *TRANSLATED.values(), "summarize", ":"]
    vocabulary = {w: i for i, w in enumerate(words)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    torch.manual_seed(0)
    name, settings = PAIR_FAMILIES[family]
    kind: Any = getattr(transformers, name)
    tokens = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "forced_bos_token_id": None}
    config = kind.config_class(vocab_size=len(words), **settings, **tokens)
    config.task_specific_params = {"summarization": {"prefix": "summarize : "}} if family == "t5" else None
    kind(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=48
    ).save_pretrained(folder)
    return folder


def many_languages_model(folder: Path, family: str = "nllb") -> Path:
    """A transformers folder: an encoder-decoder whose tokenizer marks texts with their language."""
    torchvision_ops.ensure()
    import transformers

    words = ["<s>", "<pad>", "</s>", "<unk>", *(f"\u2581{w}" for w in (*WORDS, *TRANSLATED.values()))]
    codes = ["eng_Latn", "deu_Latn", "zho_Hans"]
    if family == "nllb":
        vocabulary: Any = {w: i for i, w in enumerate(words)}
        tokenizer = transformers.NllbTokenizer(vocab=vocabulary, merges=[], extra_special_tokens=codes)
    else:
        scored = [(w, -float(i)) for i, w in enumerate(words)]
        kind_of = {"mbart": transformers.MBartTokenizer, "mbart50": transformers.MBart50Tokenizer}[family]
        tokenizer = kind_of(vocab=scored)
    torch.manual_seed(0)
    name = "M2M100ForConditionalGeneration" if family == "nllb" else "MBartForConditionalGeneration"
    kind: Any = getattr(transformers, name)
    config = kind.config_class(vocab_size=len(tokenizer), **PAIR_FAMILIES["bart"][1], decoder_start_token_id=2,
                               pad_token_id=1, bos_token_id=0, eos_token_id=2)  # fmt: skip
    kind(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentencepiece_file(file: Path) -> list[str]:
    """A SentencePiece model of the words of PAIRS, as older checkpoints carry; returns its pieces."""
    import sentencepiece

    words = [*WORDS, *TRANSLATED, *TRANSLATED.values()]
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(words, size=6)) for _ in range(400)]
    file.parent.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(file.with_suffix("")), vocab_size=90, hard_vocab_limit=False,
        bos_id=-1, pad_id=0, eos_id=1, unk_id=2, minloglevel=2,
    )  # fmt: skip
    file.with_suffix(".model").replace(file)
    file.with_suffix(".vocab").unlink()
    read = sentencepiece.SentencePieceProcessor(model_file=str(file))
    return [read.id_to_piece(i) for i in range(read.get_piece_size())]


def sentencepiece_model(folder: Path, family: str, tags: tuple[str, ...] = ()) -> Path:
    """An encoder-decoder as the hub has it: marian with two SentencePiece models, m2m100 and t5 with one, and no
    tokenizer.json. tags: target languages of a marian model.
    """
    torchvision_ops.ensure()
    import transformers

    torch.manual_seed(0)
    names = {"marian": "source.spm", "m2m100": "sentencepiece.bpe.model", "t5": "spiece.model"}
    pieces = sentencepiece_file(folder / names[family])
    kept = [p for p in pieces if p not in ("<pad>", "</s>", "<unk>")]
    settings, size = PAIR_FAMILIES["bart" if family == "m2m100" else family], len(pieces)
    told: dict[str, object] = {"tokenizer_class": "T5Tokenizer", "model_max_length": 48, "extra_ids": 0}
    if family == "marian":
        (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
        words = ["</s>", "<unk>", *kept, *(f">>{tag}<<" for tag in tags), "<pad>"]
        (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
        told = {"tokenizer_class": "MarianTokenizer", "source_lang": "eng", "target_lang": "deu"}
        size = len(words)
        own = {
            "pad_token_id": size - 1,
            "eos_token_id": 0,
            "decoder_start_token_id": size - 1,
            "forced_eos_token_id": 0,
        }
    elif family == "m2m100":
        words = ["<s>", "<pad>", "</s>", "<unk>", *kept]
        (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
        from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

        codes = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
        told = {"tokenizer_class": "M2M100Tokenizer", "additional_special_tokens": codes}
        size = len(words) + 108  # languages and what fills up
        own = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    else:
        own = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    name = {"m2m100": "M2M100ForConditionalGeneration"}.get(family, settings[0])
    kind: Any = getattr(transformers, name)
    kind(kind.config_class(vocab_size=size, **settings[1], **own)).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return folder


def writer_model(folder: Path, family: str = "llama", chat: bool = False, layers: int = 3) -> Path:
    """A transformers folder: a decoder over words that writes on, with a chat template where that is wanted."""
    torchvision_ops.ensure()
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "</s>", "<unk>", "<user>", "<answer>", *WORDS, *TRANSLATED.values(), "TL", ";", "DR", ":", "="]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(0)
    settings = TEXT_FAMILIES[family][1] | ({"n_layer": layers} if family == "gpt2" else {"num_hidden_layers": layers})
    kind: Any = getattr(transformers, {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}[family])
    model = kind(kind.config_class(vocab_size=len(words), **settings, tie_word_embeddings=True, eos_token_id=1))
    model.save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", unk_token="<unk>")
    if chat:
        tokenizer.chat_template = (
            "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}"
            "{% if add_generation_prompt %}<answer>{% endif %}"
        )
    tokenizer.save_pretrained(folder)
    return folder


def pair_data(file: Path, rows: int = 120, names: tuple[str, str] = ("source", "target")) -> Path:
    """A table of word-by-word translations; one row without a translation."""
    rng = np.random.default_rng(4)
    known = list(TRANSLATED)
    made = []
    for _ in range(rows):
        words = list(rng.choice(known, size=rng.integers(2, 7)))
        made.append((" ".join(words), " ".join(TRANSLATED[w] for w in words)))
    made.append(("the cat", ""))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *made])
    return file


def box_data(folder: Path, pictures: int = 40, size: tuple[int, int] = (128, 96)) -> Path:
    """COCO JSON: bright squares and dark bars on grey noise."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for n in range(pictures):
        pixels = rng.integers(90, 140, (size[1], size[0], 3))
        for category in (1, 2):
            for _ in range(rng.integers(0, 3)):
                width, height = (26, 26) if category == 1 else (40, 14)
                x, y = int(rng.integers(0, size[0] - width)), int(rng.integers(0, size[1] - height))
                pixels[y : y + height, x : x + width] = 250 if category == 1 else 5
                annotations.append(
                    {"id": len(annotations), "image_id": n, "category_id": category, "bbox": [x, y, width, height]}
                )
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{n:03}.png")
        images.append({"id": n, "file_name": f"{n:03}.png"})
    categories = [{"id": 1, "name": "square"}, {"id": 2, "name": "bar"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


DETECTORS: dict[str, dict[str, Any]] = {
    "detr": {"num_queries": 12, "auxiliary_loss": True},
    "conditional_detr": {"num_queries": 12},
    "deformable_detr": {"num_queries": 12, "num_feature_levels": 2, "disable_custom_kernels": True},
}


def detection_model(folder: Path, family: str = "detr", names: tuple[str, ...] = ("cat", "bar", "dog")) -> Path:
    """A transformers folder: a very small DETR with three classes and its image processor."""
    torchvision_ops.ensure()
    from transformers import AutoConfig, AutoImageProcessor, AutoModelForObjectDetection, ResNetConfig

    torch.manual_seed(0)
    stages = ["stage3", "stage4"] if family == "deformable_detr" else ["stage4"]
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic",
                            out_features=stages)  # fmt: skip
    small = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}  # fmt: skip
    config = AutoConfig.for_model(
        family, use_timm_backbone=False, backbone_config=backbone, backbone=None, use_pretrained_backbone=False,
        id2label=dict(enumerate(names)), label2id={name: n for n, name in enumerate(names)}, **small,
        **DETECTORS[family],
    )  # fmt: skip
    AutoModelForObjectDetection.from_config(config).save_pretrained(folder)
    kinds = {"detr": "DetrImageProcessor", "conditional_detr": "ConditionalDetrImageProcessor",
             "deformable_detr": "DeformableDetrImageProcessor"}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kinds[family]}))
    AutoImageProcessor.from_pretrained(folder).save_pretrained(folder)
    return folder
