"""python detect.py IMAGE … prints what this folder's detector finds in each image, one JSON object a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    import timm_detector  # type: ignore[import-not-found]

    model = timm_detector.load(str(Path(__file__).parent))
    for name, row in zip(sys.argv[1:], timm_detector.predict(model, sys.argv[1:])):
        print(json.dumps({"input": name, **row}))  # noqa: T201
