"""Texts read in windows: what a window is, joined records, joined networks, and the stock loader on what is saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from headstart.backbones.transformers_text import TextBackbone, load
from headstart.backbones.windows import cut_into, joined_record, window_lengths
from headstart.features import extract, features_of, open_extractor
from headstart.heads.head import tuned_weights
from headstart.sources.local import describe
from headstart.stock import transformers_texts
from headstart.stock.windows import windows
from headstart.types import Example, Silent

WINDOW = 12  # tokens
CLASSES = ("one", "two", "three")
WORDS = tiny.WORDS[:6]
TEXTS = [" ".join(np.random.default_rng(n).choice(WORDS, size=n)) for n in (3, 10, 11, 24, 50, 200)]
FAMILIES = ["bert", "gpt2", *(pytest.param(f, marks=pytest.mark.slow) for f in ("roberta", "modernbert", "llama"))]


@dataclass(frozen=True)
class Head:
    weight: np.ndarray
    bias: np.ndarray
    feature: str = "mean"
    normalisation: str = "l2"


def reading_on(folder: Path, family: str, count: int = 4) -> TextBackbone:
    backbone = load(describe(tiny.text_model(folder, family)))
    backbone.max_tokens = WINDOW
    assert backbone.can_read_on
    found = backbone.reading_on(count)
    found.max_tokens = WINDOW
    return found


def examples() -> list[Example]:
    return [Example(text, text, None, "", f"digest{i}") for i, text in enumerate(TEXTS)]


def test_windows_are_full_but_the_last_and_hold_every_token_once_between_their_marks(tmp_path: Path) -> None:
    tokenizer = reading_on(tmp_path / "model", "bert").tokenizer
    for text, found in zip(TEXTS, windows(tokenizer, TEXTS, 100, WINDOW)):
        assert [len(ids) for ids in found[:-1]] == [WINDOW] * (len(found) - 1)
        assert all(ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id for ids in found)
        inside = [token for ids in found for token in ids[1:-1]]
        assert inside == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert max(map(len, windows(tokenizer, TEXTS, 3, WINDOW))) == 3


def test_a_record_is_joined_by_tokens_and_cut_as_it_was() -> None:
    parts = [
        {"mean": np.array([1.0, 2.0]), "state": np.ones((4, 2))},
        {"mean": np.array([7.0, 8.0]), "state": np.zeros((2, 2))},
    ]
    joined = joined_record(parts, [4, 2], ("mean",))
    assert joined["mean"] == pytest.approx([3.0, 4.0])
    again = cut_into({"state": joined["state"]}, 4)
    assert [part["state"].shape for part in again] == [(4, 2), (2, 2)]
    assert window_lengths(6, 4) == [4, 2] and window_lengths(4, 4) == [4] and window_lengths(0, 4) == [0]


@pytest.mark.parametrize("family", FAMILIES)
def test_behind_every_cut_the_joined_network_gives_the_cached_means(family: str, tmp_path: Path) -> None:
    backbone = reading_on(tmp_path / "model", family)
    cuts = [depth.cut for depth in backbone.depths if depth.cut is not None]
    assert cuts
    extractor = open_extractor(backbone, examples(), tmp_path / "cache", Silent(), "torch", cuts)
    extract(extractor, examples(), ("plain",), Silent())
    cached, rows = features_of(extractor, examples(), ("plain",)), np.arange(len(TEXTS))
    wanted = cached.pooled("mean", rows)
    items = [backbone.encode(e, "plain") for e in examples()]
    assert max(map(backbone.length, items)) == 4 * WINDOW
    assert cached.lengths(rows).tolist() == [backbone.length(item) for item in items]
    for cut in (*cuts, None):
        records = items if cut is None else cached.states(rows, cut)
        for network in [backbone.suffix(cut)] + ([backbone.live().eval()] if cut is None else []):
            with torch.inference_mode():
                found = network(*backbone.batch_state(cut, records))["mean"].numpy()
                alone = network(*backbone.batch_state(cut, records[4:5]))["mean"].numpy()
            assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
            assert np.abs(alone - wanted[4:5]).max() <= 1e-4 * np.abs(wanted).max()
    assert np.abs(wanted[5] - wanted[0]).max() > 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stock_loader_answers_as_the_tuned_network(family: str, tmp_path: Path) -> None:
    backbone = reading_on(tmp_path / "model", family)
    cut = backbone.depths[0].cut
    assert cut is not None
    network = backbone.suffix(cut)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    holder = torch.nn.Module()
    holder.suffix = network
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(3, 32)).astype(np.float32), rng.normal(size=3).astype(np.float32))
    (tmp_path / "saved").mkdir()
    assert backbone.save(tmp_path / "saved", tuned_weights(holder, "suffix"), head, CLASSES) == "portable"
    extractor = open_extractor(backbone, examples(), tmp_path / "cache", Silent(), "torch", (cut,))
    extract(extractor, examples(), ("plain",), Silent())
    records = features_of(extractor, examples(), ("plain",)).states(np.arange(len(TEXTS)), cut)
    with torch.inference_mode():
        pooled = network(*backbone.batch_state(cut, records))["mean"]
    logits = torch.nn.functional.normalize(pooled) @ torch.from_numpy(head.weight).T + torch.from_numpy(head.bias)
    rows = list(transformers_texts.predict(transformers_texts.load(str(tmp_path / "saved")), TEXTS, features=True))
    found = torch.tensor([[row["probabilities"][name] for name in CLASSES] for row in rows])
    assert float((found - logits.double().softmax(-1)).abs().max()) < 1e-5


def test_what_is_cut_off_is_counted_in_windows(tmp_path: Path) -> None:
    backbone = reading_on(tmp_path / "model", "bert")
    assert backbone.cut_off(examples()) == "2 of 6 texts are longer than the 42 tokens that are read"
    assert backbone.reading_on(100).windows == 100
    assert backbone.key != backbone.reading_on(3).key
