"""A fit with --shift-column: scores on values that were not learnt from, and the loss against having met them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import headstart
import tiny
from headstart.errors import DataError

pytestmark = pytest.mark.slow  # whole fits, one after another


def two_sites(file: Path) -> Path:
    """At the coast "cat" and "dog" name the class; inland other words do, so that nothing learnt at one helps there."""
    rng = np.random.default_rng(0)
    words = {"coast": ("cat", "dog"), "inland": ("good", "bad")}
    rows = []
    for i in range(160):
        site = ("coast", "inland")[i % 2]
        label = int(rng.integers(2))
        text = [*rng.choice(tiny.WORDS[:6], size=rng.integers(4, 12)), words[site][label]]
        rows.append((" ".join(rng.permutation(text)), ("yes", "no")[label], site))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label", "site"), *rows])
    return file


def test_a_site_that_shares_nothing_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data, model = two_sites(tmp_path / "texts.csv"), tiny.text_model(tmp_path / "model")
    given = {"model": str(model), "budget": "120s", "depth": "head", "offline": True, "target_column": "label"}
    with pytest.raises(DataError, match="columns with few values are site"):
        headstart.fit(data, out=str(tmp_path / "a"), shift_column="town", **given)
    result = headstart.fit(data, out=str(tmp_path / "b"), shift_column="site", **given).details
    found = {v["value"]: v for v in result["shift"]["values"]}
    assert {v: f["rows"] for v, f in found.items()} == {"coast": 80, "inland": 80}
    for value in found.values():
        apart, mixed = value["rungs"][0]["score"]["value"], value["mixed"]["value"]
        assert mixed > 0.9 and apart < 0.75
        assert value["loss"]["value"] == pytest.approx(mixed - apart) and value["loss"]["low"] > 0
    assert any("has not learnt from ('coast', 'inland')" in w for w in result["warnings"])
    assert "Learnt from other values of &#39;site&#39; alone" in (tmp_path / "b" / "report.html").read_text()
