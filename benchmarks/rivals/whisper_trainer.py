"""What a practitioner would write: transformers' Seq2SeqTrainer on the whole model, batch 8, 1e-5, one epoch.

python whisper_trainer.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json

Log-mel frames are computed before training, as the usual recipe maps its data set first; every step runs the encoder
again. The test table is answered by the pipeline, greedy, as the recipe's own evaluation is; it may have no rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from files import arguments, read_table, write_answer
from whisper_pipeline import recordings

BATCH = 8
LEARNING_RATE = 1e-5
SAMPLE_RATE_HZ = 16_000
IGNORED_LABEL = -100


def features(processor: Any, paths: Sequence[str], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Log-mel frames (80, 3000) and label tokens of every clip."""
    from headstart.stock.decode import read_audio  # soundfile and soxr: the usual recipe's own reader wants ffmpeg

    rows = []
    for path, text in zip(paths, texts):
        samples = read_audio(path, SAMPLE_RATE_HZ)
        frames = processor.feature_extractor(samples, sampling_rate=SAMPLE_RATE_HZ).input_features[0]
        rows.append({"input_features": frames, "labels": processor.tokenizer(f" {text.strip()}").input_ids})
    return rows


def collate(processor: Any, start: int, rows: Sequence[dict[str, Any]]) -> Any:
    """The usual collator: pad, ignore the padding, leave out the start token, which the model adds."""
    batch = processor.feature_extractor.pad([{"input_features": r["input_features"]} for r in rows],
                                            return_tensors="pt")  # fmt: skip
    padded = processor.tokenizer.pad([{"input_ids": r["labels"]} for r in rows], return_tensors="pt")
    labels = padded["input_ids"].masked_fill(padded.attention_mask.ne(1), IGNORED_LABEL)
    batch["labels"] = labels[:, 1:] if (labels[:, 0] == start).all() else labels
    return batch


def main() -> None:
    folder, train_file, test_file, out = arguments()
    paths, texts = read_table(train_file)
    test, targets = read_table(test_file)
    times = [time.perf_counter()]
    from headstart.stock import torchvision_ops

    torchvision_ops.ensure()  # lets transformers import beside a CPU torch
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder, local_files_only=True)
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    times.append(time.perf_counter())
    rows = features(processor, paths, texts)
    times.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as scratch:
        steps = train(model, processor, rows, Path(scratch))
    times.append(time.perf_counter())
    answers = transcribe(model, processor, test) if test else []
    times.append(time.perf_counter())
    write_answer(out, targets, answers, times, clips=len(rows), steps=steps, batch=BATCH)


def train(model: Any, processor: Any, rows: Sequence[dict[str, Any]], folder: Path) -> int:
    """One epoch; the number of steps."""
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    settings = Seq2SeqTrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=BATCH, learning_rate=LEARNING_RATE, num_train_epochs=1,
        save_strategy="no", eval_strategy="no", logging_strategy="no", report_to=[], remove_unused_columns=False,
        use_cpu=True, disable_tqdm=True, seed=0,
    )  # fmt: skip
    start = model.config.decoder_start_token_id
    trainer = Seq2SeqTrainer(
        model=model, args=settings, train_dataset=rows, data_collator=lambda batch: collate(processor, start, batch),
        processing_class=processor,
    )  # fmt: skip
    return int(trainer.train().global_step)


def transcribe(model: Any, processor: Any, paths: Sequence[str]) -> list[str]:
    """Greedy transcripts, batch 8, as predict_with_generate makes them."""
    from transformers import pipeline

    stock = pipeline("automatic-speech-recognition", model=model.eval(), tokenizer=processor.tokenizer,
                     feature_extractor=processor.feature_extractor)  # fmt: skip
    return [row["text"].strip() for row in stock(recordings(paths), batch_size=BATCH, generate_kwargs={"num_beams": 1})]


if __name__ == "__main__":
    main()
