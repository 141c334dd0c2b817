"""The catalog's entries are complete and agree with themselves."""

from __future__ import annotations

import re

import pytest

from headstart.sources.catalog import CATALOG

ENTRIES = [pytest.param(key, entry, id=key) for key, entry in CATALOG.items()]


@pytest.mark.parametrize(("key", "entry"), ENTRIES)
def test_entry_is_complete(key, entry):
    assert entry.id == key
    assert key.startswith("pip:")
    assert entry.library in ("timm", "transformers")
    assert entry.modality in ("image", "text", "audio")
    assert entry.licence in ("Apache-2.0", "MIT")
    assert entry.parameters > 1e6
    assert entry.multiply_adds > entry.parameters
    assert entry.tasks and entry.input_size and entry.source_domain
    assert entry.upstream.startswith("https://")


@pytest.mark.parametrize(("key", "entry"), ENTRIES)
def test_every_file_is_pinned_by_a_sha256(key, entry):
    digests = [entry.wheel_sha256, *entry.files.values()]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests)
    assert re.fullmatch(r"\d+(\.\d+)+", entry.version)
