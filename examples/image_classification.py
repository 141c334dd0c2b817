"""Which solar cells are defective? Fit, look at the evidence, predict.

python examples/image_classification.py [FOLDER]
FOLDER: your own photos, one sub-folder for each class; without it the demo's solar cells (CC BY-NC-SA) are fetched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headstart
from headstart.demo_data import elpv
from headstart.sources.cache_dir import cache_dir
from headstart.types import Silent


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else elpv.prepare(cache_dir() / "demo", Silent())
    result = headstart.fit(data, budget="3m")
    score = result.metrics["accuracy"]
    print(f"right: {score['value']:.1%} (95% interval {score['low']:.1%} to {score['high']:.1%})")
    print(result.details["evidence"]["sentence"])
    print("What would help most:", result.details["next_steps"]["sentence"])

    model = headstart.load(result.run)
    some = sorted(p for p in data.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".jpeg"})[:3]
    for path, label, sure in zip(some, model.predict(some), model.predict(some, abstain=0.05)):
        print(path.name, label, "" if sure else "(undecided at 5%)")
    print("report:", result.run / "report.html")


if __name__ == "__main__":
    main()
