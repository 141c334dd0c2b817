"""Model folders are recognised, and a wrong folder's error names what is missing."""

from __future__ import annotations

import json

import pytest

from headstart.errors import ModelError
from headstart.sources.local import describe


def model_folder(folder, config, card=""):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"weights")
    if card:
        (folder / "README.md").write_text(card)
    return folder


def test_a_timm_folder(tmp_path):
    config = {"architecture": "resnet50", "pretrained_cfg": {"license": "apache-2.0"}}
    source = describe(model_folder(tmp_path / "m", config))
    assert (source.library, source.architecture, source.modality) == ("timm", "resnet50", "image")
    assert source.licence == "apache-2.0"
    assert source.origin == "local"
    assert source.id == str(tmp_path / "m")


@pytest.mark.parametrize(
    ("model_type", "modality"),
    [
        ("bert", "text"),
        ("t5", "text"),
        ("whisper", "audio"),
        ("wavlm", "audio"),
        ("audio-spectrogram-transformer", "audio"),
        ("vit", "image"),
        ("convnext", "image"),
    ],
)
def test_a_transformers_folder(tmp_path, model_type, modality):
    source = describe(model_folder(tmp_path / "m", {"model_type": model_type}))
    assert (source.library, source.architecture, source.modality) == ("transformers", model_type, modality)
    assert source.licence == "unknown"


@pytest.mark.parametrize(
    ("name", "content", "modality"),
    [
        ("preprocessor_config.json", {"feature_extractor_type": "X", "sampling_rate": 16000}, "audio"),
        ("preprocessor_config.json", {"image_processor_type": "X"}, "image"),
        ("tokenizer.json", {}, "text"),
    ],
)
def test_an_unknown_model_type_is_judged_by_its_preprocessing(tmp_path, name, content, modality):
    folder = model_folder(tmp_path / "m", {"model_type": "brand_new"})
    (folder / name).write_text(json.dumps(content))
    assert describe(folder).modality == modality


def test_an_unknown_model_type_without_preprocessing_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="brand_new"):
        describe(model_folder(tmp_path / "m", {"model_type": "brand_new"}))


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: mit\n---\n# Model\nlicense: gpl\n", "mit"),
        ("---\nlicense: other\nlicense_name: acme-1\n---\n", "acme-1"),
        ("# No block\nlicense: mit\n", "unknown"),
    ],
)
def test_the_licence_comes_from_the_model_card(tmp_path, card, licence):
    assert describe(model_folder(tmp_path / "m", {"model_type": "bert"}, card)).licence == licence


def test_the_record_of_a_fetched_model_comes_first(tmp_path):
    folder = model_folder(tmp_path / "m", {"model_type": "bert"}, "---\nlicense: mit\n---\n")
    (folder / "headstart.json").write_text(json.dumps({"licence": "Apache-2.0", "source_domain": "the web"}))
    source = describe(folder)
    assert (source.licence, source.source_domain) == ("Apache-2.0", "the web")


def test_an_earlier_run_gives_its_model(tmp_path):
    model_folder(tmp_path / "run" / "model", {"model_type": "bert"})
    (tmp_path / "run" / "result.json").write_text("{}")
    source = describe(tmp_path / "run")
    assert source.origin == "run"
    assert source.folder == tmp_path / "run" / "model"
    assert source.id == str(tmp_path / "run")


def test_errors_name_what_is_missing(tmp_path):
    with pytest.raises(ModelError, match="not a folder"):
        describe(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"no config\.json"):
        describe(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no config\.json"):
        describe(tmp_path)
    (tmp_path / "config.json").write_text('{"a": 1}')
    with pytest.raises(ModelError, match="no weights"):
        describe(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="neither a timm 'architecture' nor a transformers 'model_type'"):
        describe(tmp_path)
    (tmp_path / "config.json").write_text("{damaged")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        describe(tmp_path)


def test_an_unfinished_run_is_an_error(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ModelError, match="model/ folder"):
        describe(tmp_path)
