"""`headstart cache` as a user meets it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from headstart.cli import cli
from headstart.cli.cache import size
from headstart.feature_store import FeatureStore

ABOUT = {"model": "pip:tiny", "cut": "blocks.6", "view": "plain", "engine": "openvino 2026.0 float32"}
ENGINE = "0a74a4063565ced7d272407c7f63cf79"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of two stores, with 40 and 2 examples, one engine, one model and a demo."""
    root = tmp_path / "cache"
    monkeypatch.setenv("HEADSTART_CACHE", str(root))
    monkeypatch.setenv("HEADSTART_CACHE_SIZE", "5GB")
    for name, count in (("large", 40), ("small", 2)):
        store = FeatureStore(root / "features" / name, print, ABOUT | {"view": name})
        store.write({f"d{i}": {"x": np.zeros(50_000, np.float32)} for i in range(count)})
        store.close()
    os.utime(root / "features" / "small" / ".lock", (86_400 * 365, 86_400 * 365))
    for part, file, content in (
        ("engines", f"{ENGINE}.bin", 3000), ("engines", f"{ENGINE}-123a-precision.json", 1000),
        ("models", "m/w.safetensors", 70_000), ("demo", "elpv/a.png", 500)):  # fmt: skip
        (root / part / file).parent.mkdir(parents=True, exist_ok=True)
        (root / part / file).write_bytes(bytes(content))
    return root


def cache(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["cache", *arguments], catch_exceptions=False)


def test_the_list_has_one_line_for_each_store_and_totals(root):
    lines = cache().output.splitlines()
    assert lines[0].split() == ["MODEL", "CUT", "VIEW", "ENGINE", "EXAMPLES", "SIZE", "LAST", "USED"]
    assert lines[1].split()[:8] == ["pip:tiny", "blocks.6", "large", "openvino", "2026.0", "float32", "40", "8.0"]
    assert lines[2].startswith("pip:tiny  blocks.6  small")
    assert "400 KB" in lines[2]
    assert "1971-01-01" in lines[2] or "1970-12-31" in lines[2]
    told = "\n".join(lines[3:])
    assert "features     8.4 MB  in 2 stores; at most 5.0 GB are kept" in told
    assert "engines        4 KB" in told
    assert "models        70 KB" in told
    assert "demo data     500 B" in told
    assert lines[-1] == f"In {root}"


def test_a_store_that_a_run_has_open_is_used_now(root):
    store = FeatureStore(root / "features" / "small", print)
    assert [line.split()[-1] for line in cache().output.splitlines() if " small " in line] == ["now"]
    store.close()


def test_the_list_as_json(root):
    content = json.loads(cache("--json").output)
    assert (content["folder"], content["cap_bytes"]) == (str(root), 5 * 10**9)
    assert content["bytes"].keys() == {"features", "engines", "models", "demo"}
    assert content["bytes"]["engines"] == 4000
    large = content["stores"][0]
    assert (large["examples"], large["in_use"], large["about"]["view"]) == (40, False, "large")
    assert large["folder"] == str(root / "features" / "large")


def test_an_empty_cache_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "none"))
    assert cache().output.startswith("No features are cached.")
    assert not (tmp_path / "none").exists()
    assert cache("clear", "--all").exit_code == 0


def test_clear_removes_features_only(root):
    assert cache("clear").output == "Removed the features of 2 stores, 8.4 MB.\n"
    assert not list((root / "features").iterdir())
    assert len(list((root / "engines").iterdir())) == 2
    assert (root / "models" / "m" / "w.safetensors").exists()


def test_clear_keeps_what_is_in_use_and_says_so(root):
    store = FeatureStore(root / "features" / "large", print)
    assert cache("clear").output.splitlines() == ["Removed the features of 1 store, 400 KB.",
                                                  "Kept 1 store: in use by a run, or cannot be removed."]  # fmt: skip
    assert store.verify(["d0"]) == []


def test_clear_all_removes_engines_too_but_nothing_that_is_not_ours(root):
    (root / "engines" / "plan.xml").write_text("the user's")
    told = cache("clear", "--all").output
    assert "Removed 2 files of converted networks, 4 KB." in told
    assert [file.name for file in (root / "engines").iterdir()] == ["plan.xml"]
    assert (root / "demo" / "elpv" / "a.png").exists()


@pytest.mark.parametrize(("count", "words"), [
    (0, "0 B"), (999, "999 B"), (1000, "1 KB"), (37_400, "37 KB"), (999_400, "999 KB"), (999_600, "1.0 MB"),
    (12_300_000, "12 MB"), (1_250_000_000, "1.2 GB"), (20 * 10**9, "20 GB"), (4 * 10**12, "4.0 TB"),
])  # fmt: skip
def test_sizes_in_words(count, words):
    assert size(count) == words
