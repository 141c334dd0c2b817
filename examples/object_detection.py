"""Where are the trees? Fit, look at the evidence, find boxes.

python examples/object_detection.py [FOLDER]
FOLDER: your own pictures with boxes (COCO, YOLO, Pascal VOC …); without it the demo's aerial images are fetched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headstart
from headstart.demo_data import trees
from headstart.sources.cache_dir import cache_dir
from headstart.types import Silent


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else trees.prepare(cache_dir() / "demo", Silent())
    result = headstart.fit(data, budget="5m")
    score = result.metrics["map_50"]
    print(f"mAP at IoU 0.50: {score['value']:.1%} (95% interval {score['low']:.1%} to {score['high']:.1%})")
    print(result.details["evidence"]["sentence"])

    model = headstart.load(result.run)
    some = sorted(p for p in data.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".jpeg"})[:3]
    for path, boxes in zip(some, model.predict(some)):
        print(path.name, len(boxes), "objects; the first:", boxes[0] if boxes else None)
    print("report:", result.run / "report.html")


if __name__ == "__main__":
    main()
