"""The untouched model: transformers' stock speech pipeline on the test recordings. The training table is not read.

python whisper_pipeline.py MODEL_FOLDER TRAIN.csv TEST.csv OUT.json
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from files import arguments, read_table, write_answer

BATCH = 8
SAMPLE_RATE_HZ = 16_000


def recordings(paths: Sequence[str]) -> list[dict[str, Any]]:
    """What the pipeline takes in place of files."""
    from headstart.stock.decode import read_audio  # soundfile and soxr: the pipeline's own reader wants ffmpeg

    return [{"raw": read_audio(path, SAMPLE_RATE_HZ), "sampling_rate": SAMPLE_RATE_HZ} for path in paths]


def main() -> None:
    from headstart.stock import torchvision_ops

    folder, _, test_file, out = arguments()
    test, targets = read_table(test_file)
    begin = time.perf_counter()
    torchvision_ops.ensure()
    import transformers

    pipeline = transformers.pipeline("automatic-speech-recognition", model=str(folder))
    loaded = time.perf_counter()
    texts = [row["text"].strip() for row in pipeline(recordings(test), batch_size=BATCH)]
    end = time.perf_counter()
    write_answer(out, targets, texts, [begin, loaded, loaded, loaded, end])


if __name__ == "__main__":
    main()
