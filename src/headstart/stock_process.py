"""Run a saved model by its stock loader, in a process without headstart that can be started ahead of its work."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.allocator import ENVIRONMENT
from headstart.errors import RunError
from headstart.stock import products
from headstart.stock.driver import READY
from headstart.types import Example, Found, Prediction, Reporter, Segment

STOCK = Path(__file__).parent / "stock"
POLL_SECONDS = 0.05
PACED, PACED_S = 20, 0.5  # answers after the first ones, and seconds, that tell a pace
GRACE_S = 3.0  # for the answer that is being made, when there are enough


class StockProcess:
    """A stock loader's process. It imports its libraries and waits; `predict` gives it its one piece of work.

    Starting it early hides seconds of importing behind work that leaves a core idle. It ends by itself when this
    process does. rows: what it answered, as it wrote it. features: pooled features (n, D) of the inputs, where
    `predict` was asked for them. rate: answers per second, from the first that were seen to the last; None where too
    few came after these. seconds: that `predict` took in all.
    """

    def __init__(self, script: str) -> None:
        self.script = script
        self.rows: list[dict[str, Any]] = []
        self.features: NDArray[np.float32] | None = None
        self.rate: float | None = None
        self.seconds = math.inf
        self._words: list[str] = []
        self._was_enough = False
        environment = {
            **ENVIRONMENT,
            **os.environ,
            products.SETTLED: products.current(),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONWARNINGS": "ignore",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(STOCK / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process, which still wants to score what it has
        )
        self._ready = threading.Event()
        self._drain = threading.Thread(target=self._listen, daemon=True)
        self._drain.start()

    def wait_until_ready(self, seconds: float) -> None:
        """Until its libraries are imported, at most so long: what is timed meanwhile would have to share the cores."""
        self._ready.wait(seconds)

    def _listen(self) -> None:
        for line in self._process.stderr or []:
            if line.rstrip("\n") == READY:
                self._ready.set()
            else:
                self._words.append(line)
        self._ready.set()  # it has ended

    def predict(
        self,
        folder: Path,
        examples: Sequence[Example],
        reporter: Reporter,
        features: bool = False,
        enough: Callable[[int], bool] | None = None,
    ) -> list[Prediction]:
        """Predict with the model saved in `folder`; can be called once. features: keep the inputs' features as well.

        enough: asked from time to time with the number of answers so far; when true, the process is ended, and what it
        answered is returned: the first ones.
        Raises RunError with the process's last words when it fails.
        """
        with tempfile.TemporaryDirectory() as temporary:
            inputs, outputs = Path(temporary) / "inputs.json", Path(temporary) / "outputs.jsonl"
            binary = Path(temporary) / "features"
            inputs.write_text(json.dumps([e.input for e in examples]), encoding="utf-8", errors="surrogatepass")
            try:
                self._send([str(folder), str(inputs), str(outputs), *([str(binary)] if features else [])])
                lines = self._lines_as_they_come(outputs, len(examples), enough or (lambda _: False))
                for _ in reporter.track(lines, "Saved model on unseen rows", len(examples)):
                    pass
            finally:
                self.close()
            written = outputs.read_text(encoding="utf-8") if outputs.exists() else ""
            values = np.fromfile(binary, dtype=np.float32) if binary.exists() else None
        rows = [json.loads(line) for line in written.splitlines(keepends=True) if line.endswith("\n")]
        if not self._was_enough and (self._process.returncode != 0 or len(rows) != len(examples)):
            last = " | ".join(w.strip() for w in self._words[-3:])
            raise RunError(
                f"The saved model in {folder} does not run by its stock loader: {last[-500:]}. Report this fault."
            )
        if values is not None and self._process.returncode == 0:
            self.features = values.reshape(len(rows), -1)
        self.rows = rows
        return [prediction_of(example.id, example.target, row) for example, row in zip(examples, rows)]

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._drain.join()
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what it did not live to read
                    stream.close()

    def _send(self, job: list[str]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a process that died has left its words on stderr
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()

    def _lines_as_they_come(self, file: Path, wanted: int, enough: Callable[[int], bool]) -> Iterator[int]:
        seen, until = 0, math.inf
        begin, first = time.monotonic(), (0, 0.0)  # answers, and when they were there
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
            with contextlib.suppress(OSError):
                lines = file.read_bytes().count(b"\n")
                yield from range(seen, min(lines, wanted))
                if lines > seen:
                    self._note_rate(first, lines, time.monotonic())
                    first = first if seen else (lines, time.monotonic())
                seen = max(seen, lines)
            if not self._was_enough and seen < wanted and enough(seen):
                self._was_enough, until = True, time.monotonic() + GRACE_S
                file.with_suffix(".stop").touch()
        self.seconds = time.monotonic() - begin
        if not self._was_enough:
            yield from range(seen, wanted)

    def _note_rate(self, first: tuple[int, float], lines: int, now: float) -> None:
        """Loading the model comes before the first answers, and says nothing of the pace."""
        answers, since = first
        if answers and lines - answers >= PACED and now - since >= PACED_S:
            self.rate = (lines - answers) / (now - since)


def prediction_of(name: str, target: str | None, row: dict[str, Any]) -> Prediction:
    """A stock loader's row as a prediction."""
    chances: dict[str, float] = row.get("probabilities", {})
    if "boxes" in row:
        return Prediction(name, target, boxes=tuple(map(Found.of_json, row["boxes"])))
    if "labels" in row:
        return Prediction(name, target, probabilities=chances, labels=tuple(row["labels"]))
    label = max(chances, key=lambda name: chances[name]) if chances else None
    parts = None if "segments" not in row else tuple(Segment(s["start"], s["end"], s["text"]) for s in row["segments"])
    return Prediction(name, target, label, chances, row.get("text"), segments=parts)
