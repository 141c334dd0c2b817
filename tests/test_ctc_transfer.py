"""A recogniser pretrained on one alphabet learns another from few clips; the same network untrained does not."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import tiny
from headstart import fit

PITCHES_HZ = 300.0 * 1.35 ** np.arange(8)
RATE_HZ = 16_000
TONE = int(0.06 * RATE_HZ)


def spoken(letters: list[int], rng: np.random.Generator) -> np.ndarray:
    """Each letter is a tone of its own pitch, a little longer or shorter, with noise."""
    parts = []
    for letter in letters:
        time = np.arange(int(TONE * rng.uniform(0.8, 1.2))) / RATE_HZ
        pitch = PITCHES_HZ[letter] * rng.uniform(0.97, 1.03)
        parts += [0.3 * np.sin(2 * np.pi * pitch * time), np.zeros(TONE // 4)]
    clip = np.concatenate(parts)
    return (clip + 0.02 * rng.normal(size=len(clip))).astype(np.float32)


def recordings(folder: Path, alphabet: str, count: int) -> Path:
    rng = np.random.default_rng(5)
    for side, clips in (("train", count), ("test", 40)):
        (folder / side).mkdir(parents=True)
        rows = [("file_name", "transcription")]
        for i in range(clips):
            letters = rng.integers(8, size=rng.integers(3, 7)).tolist()
            soundfile.write(folder / side / f"{i}.wav", spoken(letters, rng), RATE_HZ)
            rows.append((f"{i}.wav", "".join(alphabet[n] for n in letters)))
        with (folder / side / "metadata.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)
    return folder


def pretrain(folder: Path, steps: int) -> None:
    """Teach the folder's network to write these tones in an alphabet of its own, and keep it without that layer."""
    from transformers import Wav2Vec2ForCTC, Wav2Vec2Model

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    encoder = Wav2Vec2Model.from_pretrained(folder)
    still = dict.fromkeys(("mask_time_prob", "layerdrop", "hidden_dropout", "attention_dropout", "final_dropout"), 0.0)
    encoder.config.update({"vocab_size": 9, "pad_token_id": 0, **still})
    model: Any = Wav2Vec2ForCTC(encoder.config)
    model.wav2vec2.load_state_dict(encoder.state_dict(), strict=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for step in range(steps):
        texts = [rng.integers(8, size=4).tolist() for _ in range(16)]
        clips = [spoken(text, rng) for text in texts]
        clips = [(c - c.mean()) / c.std() for c in clips]
        waves = np.zeros((16, max(map(len, clips))), dtype=np.float32)
        mask = np.zeros(waves.shape, dtype=np.int64)
        for row, clip in enumerate(clips):
            waves[row, : len(clip)], mask[row, : len(clip)] = clip, 1
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * min(1.0, (step + 1) / 50) * (1 - step / steps)
        labels = torch.tensor(texts) + 1
        loss = model(torch.from_numpy(waves), attention_mask=torch.from_numpy(mask), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.wav2vec2.save_pretrained(folder)


@pytest.mark.slow
def test_pretraining_on_other_letters_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data = recordings(tmp_path / "data", "opqrstuv", 60)
    rates = {}
    for name, steps in (("pretrained", 700), ("random", 0)):
        model = tiny.ctc_model(tmp_path / name)
        if steps:
            pretrain(model, steps)
        run = tmp_path / f"run-{name}"
        fit(data, model=str(model), out=run, budget="90s", depth="head", offline=True)
        rates[name] = json.loads((run / "result.json").read_text())["metrics"]["test"]["cer"]["value"]
    assert rates["pretrained"] < 0.25 and rates["random"] > 2 * rates["pretrained"]
