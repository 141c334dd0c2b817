"""Run a saved model over a list of inputs in a process of its own. Does not import headstart.

python SCRIPT MODEL_FOLDER INPUTS.json OUTPUTS.jsonl [FEATURES]
python SCRIPT, which imports what it needs and then reads one line from stdin: these as a JSON list

FEATURES: a file that gets each input's pooled features as float32, one input after another.
Where a file like OUTPUTS but with the ending .stop appears, no further input is answered.
"""

from __future__ import annotations

import atexit
import gc
import json
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

READY = "ready for its one piece of work"  # said on stderr, to whom has started it ahead


def main(
    prepare: Callable[[], Any],
    load: Callable[[str], Any],
    predict: Callable[..., Iterator[dict[str, Any]]],
) -> None:
    """Import the libraries, load the model, predict every input in order, write one JSON line each."""
    import products  # type: ignore[import-not-found]
    import torchvision_ops  # type: ignore[import-not-found]

    atexit.register(gc.freeze)  # what is left ends with the process: looking for cycles in it takes a second
    torchvision_ops.ensure()
    products.current()
    prepare()
    if not sys.argv[1:]:
        print(READY, file=sys.stderr, flush=True)  # noqa: T201
    job = sys.argv[1:5] or json.loads(sys.stdin.readline() or "null")
    if not job:  # the other side has gone, or has nothing to do
        return
    folder, inputs, outputs, *wanted = job
    values = json.loads(Path(inputs).read_text(encoding="utf-8"))
    loaded = load(folder)
    stop = Path(outputs).with_suffix(".stop")
    rows = predict(loaded, values, features=True) if wanted else predict(loaded, values)
    with (
        Path(outputs).open("w", encoding="utf-8") as stream,
        Path(wanted[0]).open("wb") if wanted else nullcontext() as binary,
    ):
        for row in rows:
            if binary is not None:
                binary.write(array("f", row.pop("features")).tobytes())
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            if stop.exists():
                break
    if "headstart" in sys.modules:
        raise SystemExit("the saved model needed headstart to run")
