"""Tune a decoder by low-rank changes with transformers and peft alone, and score its answers.

python peft_lora.py MODEL_FOLDER TRAIN.csv TEST.csv ANSWER.json {stock,strengthened} EPOCHS LIMIT

stock: random batches padded to their longest, logits for every token, as a Trainer does. strengthened: batches of
similar length, logits behind the prompt alone. Both: the last third of the layers, rank 16, AdamW at 5e-4 with
warm-up, batch 8.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch

from headstart.metrics.text import row_rouge
from headstart.stock import torchvision_ops

torchvision_ops.ensure()  # transformers imports torchvision
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

BATCH, RATE, RANK, ALPHA = 8, 5e-4, 16, 32
LONGEST_PROMPT, LONGEST_ANSWER = 384, 128
ASKED = "Summarize the following text in one short sentence:\n\n"


def main() -> None:
    folder, train_file, test_file, answer, kind, epochs, limit = sys.argv[1:8]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    layers = model.config.num_hidden_layers
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    last = list(range(math.ceil(2 / 3 * layers), layers))
    tuned = get_peft_model(
        model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, layers_to_transform=last, lora_dropout=0.0)
    )
    rows = [encoded(tokenizer, row) for row in read(train_file)[: int(limit) or None]]
    begin = time.perf_counter()
    steps = train(tuned, rows, int(epochs), kind == "strengthened", tokenizer.pad_token_id)
    seconds = time.perf_counter() - begin
    test = read(test_file)
    scored = time.perf_counter()
    texts = generate(tuned, tokenizer, [row["document"] for row in test])
    rouge = [row_rouge(row["summary"], text)["rougeL"] for row, text in zip(test, texts)]
    told = {"rows": len(rows), "steps": steps, "train_s": seconds, "examples_per_s": int(epochs) * len(rows) / seconds,
            "generate_s": time.perf_counter() - scored, "rouge": rouge, "texts": texts}  # fmt: skip
    Path(answer).write_text(json.dumps(told))


def read(file: str) -> list[dict[str, str]]:
    with Path(file).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def prompt(tokenizer: Any, text: str) -> list[int]:
    mark = "\x1e"
    message = {"role": "user", "content": f"{ASKED}{mark}"}
    told = tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    before, after = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in told.split(mark))
    room = LONGEST_PROMPT - len(before) - len(after)
    return [*before, *tokenizer(text, add_special_tokens=False)["input_ids"][:room], *after]


def encoded(tokenizer: Any, row: dict[str, str]) -> tuple[list[int], list[int]]:
    target = tokenizer(row["summary"].strip(), add_special_tokens=False)["input_ids"][: LONGEST_ANSWER - 1]
    return prompt(tokenizer, row["document"]), [*target, tokenizer.eos_token_id]


def train(model: Any, rows: list[tuple[list[int], list[int]]], epochs: int, strengthened: bool, pad: int) -> int:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], RATE, weight_decay=0.01)
    total = epochs * math.ceil(len(rows) / BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / max(1, total // 10), 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))),
    )
    model.train()
    steps = 0
    for _ in range(epochs):
        for batch in batches(rows, strengthened, generator):
            loss = loss_of(model, batch, strengthened, pad)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            steps += 1
            print(f"step {steps} of {total}", file=sys.stderr)
    model.eval()
    return steps


def batches(rows: list[Any], by_length: bool, generator: torch.Generator) -> list[list[Any]]:
    order = torch.randperm(len(rows), generator=generator).tolist()
    if by_length:
        pools = [order[i : i + 16 * BATCH] for i in range(0, len(order), 16 * BATCH)]
        order = [i for pool in pools for i in sorted(pool, key=lambda i: sum(map(len, rows[i])))]
    made = [[rows[i] for i in order[start : start + BATCH]] for start in range(0, len(order), BATCH)]
    return [made[i] for i in torch.randperm(len(made), generator=generator).tolist()]


def loss_of(model: Any, batch: list[tuple[list[int], list[int]]], strengthened: bool, pad: int) -> torch.Tensor:
    longest = max(len(p) + len(t) for p, t in batch)
    ids = torch.full((len(batch), longest), pad)
    labels = torch.full((len(batch), longest), -100)
    mask = torch.zeros(len(batch), longest, dtype=torch.int64)
    for row, (before, target) in enumerate(batch):
        whole = [*before, *target]
        ids[row, : len(whole)] = torch.tensor(whole)
        labels[row, len(before) : len(whole)] = torch.tensor(target)
        mask[row, : len(whole)] = 1
    if not strengthened:
        return model(input_ids=ids, attention_mask=mask, labels=labels).loss
    first = min(len(before) for before, _ in batch) - 1
    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=torch.arange(first, longest - 1)).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, first + 1 :].flatten())


def generate(model: Any, tokenizer: Any, documents: list[str]) -> list[str]:
    order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
    texts = [""] * len(documents)
    for start in range(0, len(order), 16):
        part = order[start : start + 16]
        rows = [prompt(tokenizer, documents[i]) for i in part]
        longest = max(map(len, rows))
        ids = torch.tensor([[tokenizer.pad_token_id] * (longest - len(r)) + r for r in rows])
        mask = torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in rows])
        with torch.inference_mode():
            made = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=40, do_sample=False)
        for i, text in zip(part, tokenizer.batch_decode(made[:, longest:], skip_special_tokens=True)):
            texts[i] = text.strip()
    return texts


if __name__ == "__main__":
    main()
