"""Stores explain themselves: about.json in plain words, and a list of what the cache holds."""

from __future__ import annotations

import json
import os
import re

import pytest

from feature_store.made_records import open_store, records
from headstart.feature_store import list_stores

ABOUT = {"model": "pip:tiny", "cut": "blocks.6", "engine": "openvino 2026.0, float32", "view": "plain"}


def test_the_words_are_written_once(tmp_path):
    open_store(tmp_path, about=ABOUT)
    written = json.loads((tmp_path / "about.json").read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written.pop("created"))
    assert written == ABOUT
    before = (tmp_path / "about.json").read_bytes()
    open_store(tmp_path, about={"model": "another"})
    assert (tmp_path / "about.json").read_bytes() == before


def test_without_words_there_is_no_file(tmp_path):
    open_store(tmp_path)
    assert not (tmp_path / "about.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_damaged_words_are_no_error_and_are_written_anew(content, tmp_path):
    folder = tmp_path / "store"
    store, _ = open_store(folder, about=ABOUT)
    store.write(records(2))
    (folder / "about.json").write_bytes(content)
    (listed,) = list_stores(tmp_path)
    assert (listed.about, listed.examples) == ({}, 2)
    _, said = open_store(folder, about=ABOUT)
    assert said == []
    assert list_stores(tmp_path)[0].about["model"] == "pip:tiny"


def test_the_list_tells_examples_size_use_and_words_the_last_used_first(tmp_path):
    first, _ = open_store(tmp_path / "first", about=ABOUT)
    first.write(records(4))
    first.write(records(4, start=2))  # digest2 and digest3 twice
    first.close()
    os.utime(tmp_path / "first" / ".lock", (1_000_000, 1_000_000))
    second, _ = open_store(tmp_path / "second")
    listed = list_stores(tmp_path)
    assert [(s.folder.name, s.examples, s.in_use) for s in listed] == [("second", 0, True), ("first", 6, False)]
    assert listed[1].used == 1_000_000
    assert listed[1].bytes == sum(file.stat().st_size for file in (tmp_path / "first").iterdir())
    assert listed[1].about.items() >= ABOUT.items()
    assert (tmp_path / "first" / ".lock").stat().st_mtime == 1_000_000  # a look is no use
    second.close()
    assert not list_stores(tmp_path)[0].in_use


def test_a_damaged_shard_counts_no_examples(tmp_path):
    store, _ = open_store(tmp_path / "store")
    store.write(records(4))
    (shard,) = store.folder.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:30])
    assert list_stores(tmp_path)[0].examples == 0
    assert shard.exists()


def test_a_cache_that_is_not_there_lists_nothing(tmp_path):
    assert list_stores(tmp_path / "nowhere") == []
