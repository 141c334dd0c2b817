"""Run a saved model over a list of inputs in a process of its own. Does not import headstart.

python SCRIPT MODEL_FOLDER INPUTS.json OUTPUTS.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def main(load: Callable[[str], Any], predict: Callable[[Any, list[str]], Iterator[dict[str, Any]]]) -> None:
    """Load the model, predict every input in order, write one JSON line each."""
    import torchvision_ops  # type: ignore[import-not-found]

    torchvision_ops.ensure()
    folder, inputs, outputs = sys.argv[1:4]
    values = json.loads(Path(inputs).read_text(encoding="utf-8"))
    loaded = load(folder)
    with Path(outputs).open("w", encoding="utf-8") as stream:
        for row in predict(loaded, values):
            stream.write(json.dumps(row) + "\n")
            stream.flush()
    if "headstart" in sys.modules:
        raise SystemExit("the saved model needed headstart to run")
