"""With --offline, no process of a run so much as tries to reach a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import tiny

pytestmark = pytest.mark.slow  # a whole fit

# Python imports this when it starts, in child processes too
FENCE = """
import os, socket

def refuse(*arguments, **named):
    with open(os.environ["TRIED"], "a") as stream:
        stream.write(repr(arguments[1:]) + "\\n")
    raise OSError("no network here")

def refuse_name(*arguments, **named):
    refuse(None, *arguments)

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse_name
"""


@dataclass(frozen=True)
class Fitted:
    done: subprocess.CompletedProcess[str]
    run: Path
    tried: str


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """`headstart fit --offline --json` behind the fence."""
    root = tmp_path_factory.mktemp("offline")
    data, model = tiny.image_data(root / "data", 12), tiny.image_model(root / "model")
    (root / "fence").mkdir()
    (root / "fence" / "sitecustomize.py").write_text(FENCE)
    tried = root / "tried.txt"
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CI")}
    environment |= {"PYTHONPATH": str(root / "fence"), "TRIED": str(tried), "HEADSTART_CACHE": str(root / "cache")}

    probe = "import urllib.request; urllib.request.urlopen('http://192.0.2.1', timeout=1)"
    assert subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True).returncode != 0
    assert "192.0.2.1" in tried.read_text()  # the fence stands
    tried.unlink()

    # openvino by name: every library that a run can use is used
    command = [sys.executable, "-m", "headstart", "fit", str(data), "--model", str(model), "--offline", "--json"]
    command += ["--engine", "openvino", "--budget", "60s", "--depth", "head", "--out", str(root / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=root)
    return Fitted(done, root / "run", tried.read_text() if tried.exists() else "")


def test_a_fit_offline_works(fitted: Fitted) -> None:
    assert fitted.done.returncode == 0, fitted.done.stderr
    assert json.loads((fitted.run / "result.json").read_text())["status"] == "complete"


def test_a_fit_offline_tries_no_connection(fitted: Fitted) -> None:
    assert set(fitted.tried.splitlines()) == set()


def test_json_is_alone_on_standard_output(fitted: Fitted) -> None:
    printed = json.loads(fitted.done.stdout)
    assert printed == json.loads((fitted.run / "result.json").read_text())
    assert "image-classification: 24 usable rows" in fitted.done.stderr
