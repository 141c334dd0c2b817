"""Run a saved model over a list of inputs in a process of its own. Does not import headstart.

python SCRIPT MODEL_FOLDER INPUTS.json OUTPUTS.jsonl
python SCRIPT, which imports what it needs and then reads one line from stdin: the three as a JSON list
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def main(
    prepare: Callable[[], Any],
    load: Callable[[str], Any],
    predict: Callable[[Any, list[str]], Iterator[dict[str, Any]]],
) -> None:
    """Import the libraries, load the model, predict every input in order, write one JSON line each."""
    import torchvision_ops  # type: ignore[import-not-found]

    torchvision_ops.ensure()
    prepare()
    job = sys.argv[1:4] or json.loads(sys.stdin.readline() or "null")
    if not job:  # the other side has gone, or has nothing to do
        return
    folder, inputs, outputs = job
    values = json.loads(Path(inputs).read_text(encoding="utf-8"))
    loaded = load(folder)
    with Path(outputs).open("w", encoding="utf-8") as stream:
        for row in predict(loaded, values):
            stream.write(json.dumps(row) + "\n")
            stream.flush()
    if "headstart" in sys.modules:
        raise SystemExit("the saved model needed headstart to run")
