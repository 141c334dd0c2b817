"""Pretrain a small T5 on package descriptions by span corruption, and write pairs to summarise apart from them.

No pip package carries an encoder-decoder over texts, so that this one stands for it: a million parameters, minutes of
training. The target is the whole text, as in BART's text infilling, and not the missing spans alone: in minutes the
decoder learns to look at what it is given and to copy from it, which spans alone teach far more slowly. Half of the
source packages are for pretraining; the others become pairs, long description to synopsis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from common import HERE, Said, parser
from headstart.demo_data import debian, synopses
from headstart.sources.cache_dir import cache_dir
from headstart.stock import torchvision_ops
from pretraining import pretrain_for

VOCABULARY, SENTINELS = 1000, 32
LENGTH, BATCH = 96, 32
POOL = 16  # batches that are drawn at once and sorted by length: short texts are not padded to long ones
NOISE, SPAN = 0.15, 3
PAIRS = 2400


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--minutes", type=float, default=8.0, help="of training")
    made.add_argument("--out", type=Path, default=HERE / "out" / "t5-copying", help="folder of checkpoints and pairs")
    arguments = made.parse_args()
    pretrain(arguments.out, arguments.minutes)


def pretrain(out: Path, minutes: float) -> None:
    """Write `pretrained/`, `random/` (the same network untrained) and `pairs.csv` (document, summary) to the folder."""
    rows = debian.usable_rows(cache_dir() / "demo", Said())
    for_text: list[debian.Row] = []
    for_pairs: list[debian.Row] = []
    for row in rows:
        side = hashlib.sha256(row.source.encode()).digest()[0] % 2
        (for_text if side else for_pairs).append(row)
    out.mkdir(parents=True, exist_ok=True)
    write_some_pairs(for_pairs, out / "pairs.csv")
    make(out, minutes, [row.text for row in for_text])


def make(out: Path, minutes: float, texts: Sequence[str]) -> None:
    """Write `pretrained/` and `random/` to the folder, with a tokenizer learnt from these texts."""
    tokenizer = make_tokenizer(texts)
    model = make_model(tokenizer)
    save(model, tokenizer, out / "random")
    train(model, tokenizer, texts, minutes)
    save(model, tokenizer, out / "pretrained")


def write_some_pairs(rows: Sequence[debian.Row], file: Path) -> None:
    found = synopses.pairs(rows)
    order = np.random.default_rng(0).permutation(len(found))[:PAIRS]
    synopses.write_pairs([found[i] for i in order], file)


def make_tokenizer(texts: Sequence[str]):  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.normalizer = normalizers.NFKC()
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{i}>" for i in range(SENTINELS))]
    core.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special))
    core.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=256,
        additional_special_tokens=special[3:],
    )  # fmt: skip


def make_model(tokenizer):  # type: ignore[no-untyped-def]
    torchvision_ops.ensure()
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=128, d_ff=512, d_kv=32, num_heads=4, num_layers=2, dropout_rate=0.0,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    return T5ForConditionalGeneration(config)


def corrupted(ids: np.ndarray, first_sentinel: int, rng: np.random.Generator) -> list[int]:
    """Spans of about three tokens become sentinels."""
    spans = max(1, round(len(ids) * NOISE / SPAN))
    starts = np.sort(rng.choice(max(1, len(ids) - SPAN), size=min(spans, max(1, len(ids) - SPAN)), replace=False))
    source: list[int] = []
    at = sentinels = 0
    for start in starts:
        if start < at or sentinels == SENTINELS:
            continue
        source += [*ids[at:start].tolist(), first_sentinel + sentinels]
        at, sentinels = start + SPAN, sentinels + 1
    return [*source, *ids[at:].tolist(), 1]


def train(model, tokenizer, texts: Sequence[str], minutes: float) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    first = tokenizer.convert_tokens_to_ids("<extra_id_0>")
    ids = [np.array(i[:-1]) for i in tokenizer(list(texts), truncation=True, max_length=4 * LENGTH)["input_ids"]]
    ids = [i for i in ids if len(i) >= 2 * SPAN]
    waiting: list[np.ndarray] = []

    def loss_of() -> torch.Tensor:
        if not waiting:
            drawn = rng.integers(len(ids), size=POOL * BATCH)
            drawn = drawn[np.argsort([min(len(ids[i]), LENGTH) for i in drawn], kind="stable")]
            waiting.extend(drawn.reshape(POOL, BATCH)[rng.permutation(POOL)])
        whole = []
        for i in waiting.pop():
            start = int(rng.integers(max(1, len(ids[i]) - LENGTH + 1)))
            whole.append(ids[i][start : start + LENGTH])
        source = _padded([corrupted(text, first, rng) for text in whole], 0)
        target = _padded([[*text.tolist(), 1] for text in whole], -100)
        loss: torch.Tensor = model(input_ids=source, attention_mask=(source != 0).long(), labels=target).loss
        return loss

    pretrain_for(model, minutes, loss_of, rate=3e-3, warmup=100, decay=0.01, what="T5")


def _padded(rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    batch = torch.full((len(rows), max(map(len, rows))), pad)
    for i, row in enumerate(rows):
        batch[i, : len(row)] = torch.tensor(row)
    return batch


def save(model, tokenizer, folder: Path) -> None:  # type: ignore[no-untyped-def]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
