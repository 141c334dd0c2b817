"""One name, four places: catalog, folder, run, hub."""

from __future__ import annotations

import json

import pytest

from headstart.errors import ModelError
from headstart.sources import CATALOG, get, installed, pip_package, resolve
from headstart.sources.digest import file_digest
from headstart.types import Silent


def put(folder, config):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def minilm():
    entry = CATALOG["pip:all-minilm-l6-v2"]
    folder = pip_package.model_folder(entry)
    put(folder, {"model_type": "bert"})
    record = {"weights_sha256": file_digest(folder / "model.safetensors")}
    (folder / pip_package.RECORD).write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize("name", ["pip:all-minilm-l6-v2", "all-minilm-l6-v2"])
@pytest.mark.parametrize("offline", [True, False])
def test_a_catalog_name_with_or_without_its_prefix(minilm, name, offline):
    source = resolve(name, offline, Silent())
    assert source.id == "pip:all-minilm-l6-v2"
    assert source.folder == minilm
    assert (source.library, source.modality, source.licence) == ("transformers", "text", "Apache-2.0")
    assert (source.origin, source.revision) == ("pip", "0.1.0")
    assert get(name, Silent()) == source


def test_installed_lists_what_is_here(minilm):
    assert [source.id for source in installed()] == ["pip:all-minilm-l6-v2"]


def test_nothing_is_installed_at_first():
    assert installed() == []


def test_offline_does_not_fetch():
    with pytest.raises(ModelError, match=r"headstart models get pip:whisper-tiny\.en"):
        resolve("whisper-tiny.en", True, Silent())


def test_offline_reports_a_damaged_model_and_keeps_it(minilm):
    (minilm / "model.safetensors").write_bytes(b"wrong")
    with pytest.raises(ModelError, match="damaged"):
        resolve("all-minilm-l6-v2", True, Silent())
    assert minilm.is_dir()


def test_a_folder_and_a_run(tmp_path, monkeypatch):
    put(tmp_path / "mine", {"architecture": "resnet18"})
    put(tmp_path / "run" / "model", {"model_type": "bert"})
    (tmp_path / "run" / "result.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert resolve("mine", True, Silent()).origin == "local"
    assert resolve("./mine", True, Silent()).library == "timm"
    assert resolve(str(tmp_path / "run"), True, Silent()).origin == "run"


def test_a_path_that_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        resolve(str(tmp_path / "missing"), True, Silent())
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve(str(tmp_path), True, Silent())


def test_an_unknown_catalog_name_gets_the_nearest():
    with pytest.raises(ModelError, match="Did you mean pip:efficientnet-lite"):
        resolve("pip:efficientnet-lite9", True, Silent())
    with pytest.raises(ModelError, match="Did you mean pip:all-minilm-l6-v2"):
        get("all-minilm", Silent())
    with pytest.raises(ModelError, match="one of: pip:efficientnet-lite0"):
        get("zzz", Silent())
