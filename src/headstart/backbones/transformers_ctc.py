"""wav2vec 2.0, HuBERT and WavLM as recognisers through transformers: a linear layer over frames, trained by
connectionist temporal classification (Graves et al. 2006).

A checkpoint with a vocabulary that covers the transcripts keeps its own layer. Others get a new one, over the
characters of the transcripts, which is trained on cached frames before anything deeper moves; deeper rungs go on from
it.
Recipe: the published rates for tuning all but the convolutions are 3e-5 to 1e-4 (Baevski et al. 2020).
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.adapters import frames_adapter
from headstart.backbones.backbone import AffineHead, Depth, Item, Prefix, Recipe, Record
from headstart.backbones.cut_network import CutNetwork
from headstart.backbones.masking import hide_waves
from headstart.backbones.places import padded
from headstart.backbones.transformers_load import load_pretrained
from headstart.backbones.waves import WaveInputs
from headstart.backbones.weights import weights_digest, with_tuned
from headstart.errors import ModelError
from headstart.metrics.speech import normalise
from headstart.stock import torchvision_ops
from headstart.types import Example, ModelSource

FRAMES = "frames"  # the cut behind the network: the states that the new layer reads
FAMILIES = frozenset({"wav2vec2", "hubert", "wavlm"})
COVERED = 0.98  # of the transcripts' characters, with which a checkpoint's own vocabulary is kept
SPACE, BLANK, UNKNOWN = "|", "[PAD]", "[UNK]"
_DEEP = Recipe(learning_rate=1e-4, head_learning_rate=5e-4, batch_size=8, max_epochs=20, min_epochs=2)
RECIPES = {
    "head": Recipe(learning_rate=3e-3, head_learning_rate=3e-3, batch_size=16, max_epochs=40, min_epochs=5),
    "block": _DEEP,
    "third": _DEEP,
    "all": replace(_DEEP, learning_rate=5e-5, head_learning_rate=2e-4),
    "lora": replace(_DEEP, learning_rate=3e-4),
    "scratch": replace(
        _DEEP, learning_rate=5e-4, head_learning_rate=1e-3, max_epochs=80, weight_decay=0.05, averaged_share=0.0
    ),
}


class CtcBackbone:
    """An encoder of waves, its feature extractor, and a layer to the characters of a vocabulary.

    stock: the whole recogniser as transformers loads it. tokenizer: of the checkpoint's own vocabulary, None where it
    has none. Either may be replaced once the transcripts are known.
    """

    features: tuple[str, ...] = ()
    allow_l2: dict[str, bool] = {}  # noqa: RUF012
    without_bias: tuple[str, ...] = ()
    views = ("plain",)
    unit = "recording"
    reads_targets = False
    base_cut: str | None = FRAMES
    searches = False

    def __init__(self, source: ModelSource, stock: Any, extractor: Any, tokenizer: Any, weights_key: str) -> None:
        self.source = source
        self.stock = stock.eval()
        self.model = getattr(stock, stock.base_model_prefix)
        self.extractor = extractor
        self.tokenizer = tokenizer
        adapter = frames_adapter(self.model)
        self._waves = WaveInputs(extractor, self.model, adapter.padding_changes)
        self._network = CutNetwork(adapter, RECIPES, source.id, "layer")
        self.batch_budget = self._waves.batch_budget
        self.search = (1, 1.0)
        self.answers_untouched = tokenizer is not None
        described = json.dumps(extractor.to_dict(), sort_keys=True, default=str)
        self.key = hashlib.sha256(f"ctc|{weights_key}|{described}".encode()).hexdigest()

    def encode(self, example: Example, view: str) -> Item:
        del view
        return self._waves.encode(example.input)

    def length(self, item: Item) -> int:
        return len(item["input_values"])

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        return self._waves.collate(items)

    def cut_off(self, examples: Sequence[Example]) -> str:
        del examples
        return ""

    @property
    def depths(self) -> tuple[Depth, ...]:
        deeper = self._network.depths
        return (Depth("head", "layer over frames", FRAMES, 0.01), *deeper)

    def recipe(self, depth: Depth) -> Recipe:
        return RECIPES[depth.name]

    def prefix(self, cuts: Sequence[str]) -> Prefix:
        """One pass for the states of these cuts, and for the frames, whether these were asked for or not."""
        found = self._network.prefix([cut for cut in cuts if cut != FRAMES])
        inner, width = found.shapes, int(self.model.config.hidden_size)

        def shapes(samples: int) -> dict[str, tuple[int, ...]]:
            known = dict(inner(samples)) if inner else {}
            return {**known, FRAMES: (self._waves.frames(samples), width)}

        states = {FRAMES: (FRAMES,), **found.states}
        return replace(found, states=states, ragged={FRAMES: (0,), **found.ragged}, shapes=shapes)

    def suffix(self, cut: str | None) -> nn.Module:
        network = nn.Identity() if cut == FRAMES else self._network.suffix(cut)
        if cut is None:  # the convolutions are left as they are, as their authors do
            for name, parameter in network.named_parameters():
                if ".feature_extractor." in name:
                    parameter.requires_grad_(False)
        return _Recogniser(network, copy.deepcopy(self.stock.lm_head), self._waves)

    def live(self) -> nn.Module:
        return _Recogniser(self._network.live(), copy.deepcopy(self.stock.lm_head), self._waves)

    def batch_state(self, cut: str | None, records: Sequence[Record]) -> tuple[torch.Tensor, ...]:
        """Frame states padded to the longest, then a mask of as many samples; encoded inputs for None."""
        if cut is None:
            return tuple(torch.from_numpy(value) for value in self.collate([dict(r) for r in records]).values())
        if cut == FRAMES:
            frames = [record[FRAMES] for record in records]
            return padded(frames), self._waves.mask_behind([len(f) for f in frames])
        states, lengths = self._network.batch_state(cut, records)
        return (*states, self._waves.mask_behind(lengths))

    def randomised(self, seed: int, sample: Sequence[Item]) -> CtcBackbone:
        del sample
        torch.manual_seed(seed)
        stock = type(self.stock)(copy.deepcopy(self.stock.config))
        key = weights_digest(getattr(stock, stock.base_model_prefix).state_dict())
        made = CtcBackbone(self.source, stock, self.extractor, self.tokenizer, key)
        _silence(made.stock.lm_head)
        return made

    def expect(self, targets: Sequence[str]) -> None:
        """Keep the checkpoint's vocabulary if it covers these transcripts, else take their characters as a new one."""
        if self.tokenizer is not None and _coverage(self.tokenizer, [self.written(t) for t in targets]) >= COVERED:
            return
        letters = sorted({c for text in targets for c in normalise(text) if c != " "})
        self.tokenizer, self.answers_untouched = make_tokenizer(letters), False
        config = self.stock.config
        config.vocab_size, config.pad_token_id = len(self.tokenizer), self.tokenizer.pad_token_id
        config.bos_token_id = config.eos_token_id = None
        self.stock.lm_head = nn.Linear(self.stock.lm_head.in_features, len(self.tokenizer))
        _silence(self.stock.lm_head)

    def written(self, text: str) -> str:
        """A transcript as the vocabulary writes: without punctuation, in its case."""
        plain, letters = normalise(text), [t for t in self.tokenizer.get_vocab() if len(t) == 1 and t.isalpha()]
        upper = bool(letters) and all(t == t.upper() for t in letters)
        return plain.upper() if upper else plain

    def token_ids(self, text: str) -> list[int]:
        """The numbers of a transcript's characters; those that the vocabulary lacks are passed over."""
        unknown = self.tokenizer.unk_token_id
        return [int(i) for i in self.tokenizer(self.written(text)).input_ids if i != unknown]

    def loss(self, network: nn.Module, inputs: Sequence[torch.Tensor], examples: Sequence[Example],
             label_smoothing: float) -> torch.Tensor:  # fmt: skip
        """Over all ways to place the characters on frames, by character; a clip too short for its text is left out.
        Parts of the waves are hidden while a network that reads them is trained.
        """
        del label_smoothing
        if network.training and inputs[0].ndim == 2:  # waves, not states
            inputs = (hide_waves(inputs[0], inputs[1].sum(1), self._waves.sample_rate_hz), *inputs[1:])
        logits, frames = network(*inputs)  # (B, T, V), (B,)
        targets = [self.token_ids(e.target or "") for e in examples]
        lengths = torch.tensor([len(t) for t in targets])
        loss = nn.functional.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1),
            torch.tensor([i for t in targets for i in t], dtype=torch.int64),
            frames,
            lengths,
            blank=int(self.stock.config.pad_token_id),
            reduction="sum",
            zero_infinity=True,
        )
        return loss / max(1, int(lengths.sum()))

    def generate(self, inputs: Sequence[torch.Tensor], network: nn.Module | None = None) -> list[str]:
        """Transcripts: of each frame the likeliest character, repetitions joined, blanks dropped.

        inputs: frames and mask, or what `network`, a suffix of this backbone, takes.
        """
        with torch.inference_mode():
            logits, frames = (network or self.suffix(FRAMES))(*inputs)
        best = logits.argmax(-1)  # (B, T)
        ids = [row[:n] for row, n in zip(best.tolist(), frames.tolist())]
        return [t.strip() for t in self.tokenizer.batch_decode(ids)]

    def save(
        self, folder: Path, tuned: dict[str, torch.Tensor], head: AffineHead | None, classes: Sequence[str]
    ) -> str:
        from transformers import Wav2Vec2Processor

        del head, classes
        own = {n.removeprefix("head."): value for n, value in tuned.items() if n.startswith("head.")}
        rest = {_own_name(n): value for n, value in tuned.items() if not n.startswith("head.")}
        stock = type(self.stock)(copy.deepcopy(self.stock.config))
        setattr(stock, stock.base_model_prefix, with_tuned(self.model, rest))
        stock.lm_head = copy.deepcopy(self.stock.lm_head)
        with torch.no_grad():
            for name, value in own.items():
                stock.lm_head.get_parameter(name).copy_(value)
        stock.save_pretrained(folder)
        Wav2Vec2Processor(self.extractor, self.tokenizer).save_pretrained(folder)
        return "native"


class _Recogniser(nn.Module):
    """A network behind a cut, or all of it, with the layer over frames: logits, and how many frames are real."""

    def __init__(self, network: nn.Module, head: nn.Module, waves: WaveInputs) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self._waves = waves

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        known = isinstance(self.network, nn.Identity)
        frames = inputs[0] if known else self.network(*inputs)["frames"]  # (B, T, D)
        counts = torch.tensor([self._waves.frames(int(n)) for n in inputs[-1].sum(1)])
        return self.head(frames), counts


def _own_name(name: str) -> str:
    """A parameter's name with the prefix that adapters have, from its name in a recogniser."""
    for part in ("network.", "graph_module.", "network."):
        name = name.removeprefix(part)
    return name


def _silence(layer: Any) -> None:
    """Zeros: every frame is blank until something is learnt."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()


def _coverage(tokenizer: Any, texts: Sequence[str]) -> float:
    """Share of the characters that the vocabulary has."""
    known = set(tokenizer.get_vocab()) | {" "}
    letters = [c for text in texts for c in text]
    return sum(c in known for c in letters) / max(1, len(letters))


def make_tokenizer(letters: Sequence[str]) -> Any:
    """A vocabulary of single characters in transformers' layout; number 0 is the blank."""
    from transformers import Wav2Vec2CTCTokenizer

    names = [BLANK, UNKNOWN, SPACE, *(c for c in letters if c != SPACE)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vocab.json"
        file.write_text(json.dumps({name: i for i, name in enumerate(names)}, ensure_ascii=False), encoding="utf-8")
        return Wav2Vec2CTCTokenizer(
            str(file), unk_token=UNKNOWN, pad_token=BLANK, word_delimiter_token=SPACE, bos_token=None, eos_token=None
        )


def load(source: ModelSource) -> CtcBackbone:
    """Load a folder with an encoder of waves, with or without a vocabulary.

    Raises ModelError for other families, and where weights are missing or unsafe.
    """
    torchvision_ops.ensure()
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

    config = load_pretrained(AutoConfig, source, "recogniser")[0]
    if getattr(config, "add_adapter", False):
        raise ModelError(
            f"{source.id} has an adapter behind its encoder, which cannot be tuned here. Name a wav2vec 2.0, HuBERT or "
            "WavLM without one, or a Whisper."
        )
    extractor = load_pretrained(AutoFeatureExtractor, source, "recogniser")[0]
    stock, missing = load_pretrained(
        AutoModelForCTC, source, "recogniser", weights=True, optional=frozenset({"lm_head"})
    )
    tokenizer = None
    if not any("lm_head" in name for name in missing) and (source.folder / "vocab.json").is_file():
        tokenizer = load_pretrained(AutoTokenizer, source, "recogniser")[0]
    if tokenizer is None:
        _silence(stock.lm_head)
    encoder = getattr(stock, stock.base_model_prefix)
    return CtcBackbone(source, stock, extractor, tokenizer, weights_digest(encoder.state_dict()))
