"""Tree crowns: `headstart fit` against torchvision's reference training of the same detector on the same tiles, in time
to the same mAP at IoU 0.5; and the saved detector in the chosen engine against torch eager.

One large aerial image to learn from, another one, as a whole, to test on.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import headstart
from common import HERE, Records, Said, machine_line, parser, run_process, table
from headstart import sources
from headstart.demo_data import trees
from headstart.sources.cache_dir import cache_dir
from runs import fit, fresh_cache

RIVAL = HERE / "rivals" / "torchvision_detection.py"
MODEL = "pip:efficientnet-lite0"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--budget", default="10m", help="of the headstart fit")
    made.add_argument("--short", default="4m", help="of another one, of the head alone")
    made.add_argument("--minutes", type=float, default=20.0, help="of the rival's training at most")
    arguments = made.parse_args()
    records = Records("detection", arguments.results, small=False)
    records.open(arguments)
    data = trees.prepare(cache_dir() / "demo", Said())
    folder = sources.resolve(MODEL, False, Said()).folder
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        place = Path(scratch)
        ours = []
        for budget, depth in ((arguments.budget, "auto"), (arguments.short, "head")):
            out = place / f"run-{budget}"
            options = [data, "--model", MODEL, "--budget", budget, "--depth", depth]
            done = fit(options, out, fresh_cache(place / f"cache-{budget}"))
            scores = headstart.evaluate(out, data / "test")["metrics"]
            ours.append((budget, done, scores["map_50"]["value"]))
            records.write("headstart", budget=budget, wall_s=done.process.wall_s, depth=done.depth, metrics=scores)
        steps = _rival(folder, data, place / "steps.jsonl", "steps", 0)
        fastest = min(steps, key=lambda row: float(row["seconds_per_step"]))["layout"]
        epochs = _rival(folder, data, place / "epochs.jsonl", fastest, arguments.minutes)
        records.write("rival", steps=steps, epochs=epochs)
        speed = _speed(place / f"run-{arguments.budget}" / "model")
        records.write("inference", **speed)
    print(_told(ours, steps, epochs, speed))


def _rival(folder: Path, data: Path, out: Path, layout: str, minutes: float) -> list[dict[str, Any]]:
    run_process([sys.executable, str(RIVAL), str(folder), str(data), str(out), layout, str(minutes)])
    return [json.loads(line) for line in out.read_text().splitlines()]


def _speed(folder: Path) -> dict[str, float]:
    """Squares a second of the whole network: torch eager in its own layout, and the chosen engine."""
    import torch

    from headstart.detector_engine import with_engine
    from headstart.stock import timm_detector

    detector, config, _ = timm_detector.load(str(folder))
    eager = detector.to(memory_format=torch.contiguous_format)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, config["side"], config["side"]))).float()
    with torch.inference_mode():
        plain = _rate(lambda: eager(images), len(images))
    _, _, engine = with_engine(timm_detector.load(str(folder)), folder)
    return {"torch_eager": plain, "engine": _rate(lambda: engine(images), len(images))}


def _rate(call: Callable[[], Any], count: int, seconds: float = 10.0) -> float:
    call()
    times: list[float] = []
    while sum(times) < seconds:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return count / float(np.median(times))


def _told(ours: list[tuple[str, Any, float]], steps: Any, epochs: Any, speed: dict[str, float]) -> str:
    rows = []
    for budget, done, score in ours:
        first = next((row for row in epochs if row["map_50"] >= score), None)
        when = f"{first['seconds']:.0f} s" if first else f"not within {epochs[-1]['seconds']:.0f} s"
        what = f"headstart --budget {budget}, depth {done.depth['chosen']}, whole process"
        rows.append((what, f"{100 * score:.1f}", f"{done.process.wall_s:.0f} s; the reference there: {when}"))
    best = max(epochs, key=lambda row: float(row["map_50"]))
    for name, row in (("best", best), ("last", epochs[-1])):
        what = f"torchvision reference ({row['layout']}), {name} epoch ({row['epoch']})"
        rows.append((what, f"{100 * row['map_50']:.1f}", f"{row['seconds']:.0f} s of training"))
    layouts = ", ".join(f"{row['layout']} {row['seconds_per_step']:.2f} s" for row in steps)
    return "\n\n".join([
        "### detection: tree crowns, mAP at IoU 0.5 of the other picture", table(("what", "mAP50, %", "time"), rows),
        f"A step of the reference: {layouts}. Network alone, squares a second: torch eager {speed['torch_eager']:.2f}, "
        f"chosen engine {speed['engine']:.2f} ({speed['engine'] / speed['torch_eager']:.1f} times).", machine_line(),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
