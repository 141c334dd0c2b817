"""Peak memory of `headstart fit --depth head` on 2,600 and on 26,000 solar cells: does it grow with the data?

The larger set repeats the images, one pixel changed in each copy, so that the cache holds every one of them.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import Records, Said, machine_line, parser, spread, table
from headstart.demo_data import elpv
from headstart.sources.cache_dir import cache_dir
from runs import fit, fresh_cache, read_csv

SIDE = 128  # pixels; ten times 300 x 300 would only take disk
SAMPLE_S = 0.25
MODEL = "pip:efficientnet-lite0"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--sizes", type=int, nargs="+", default=[2600, 26_000], help="numbers of images")
    made.add_argument("--rounds", type=int, default=1, help="runs of each size")
    made.add_argument("--budget", default="2h", help="budget of headstart fit; wide, so that no work is left out")
    arguments = made.parse_args()
    records = Records("memory", arguments.results, small=max(arguments.sizes) < 26_000)
    records.open(arguments)
    found: dict[int, list[dict[str, Any]]] = {size: [] for size in arguments.sizes}
    for number in range(arguments.rounds):
        for size in arguments.sizes[:: 1 if number % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
                facts = {"images": size, "round": number, **_one(arguments, size, Path(scratch))}
            found[size].append(facts)
            records.write("run", **facts)
    print(_report(found, records.small))


def _one(arguments: argparse.Namespace, size: int, scratch: Path) -> dict[str, Any]:
    """One fit with an empty cache. Bytes: the largest process' peak, and peaks of sums over all processes at a time."""
    data = write_copies(size, scratch / "data")
    options = [data, "--depth", "head", "--model", MODEL, "--budget", arguments.budget, "--input-column", "file_name",
               "--target-column", "label", "--test-size", "0.25"]  # fmt: skip
    own = resident(os.getpid())["VmRSS"]
    with Sampler() as sampler:
        done = fit(options, scratch / "run", fresh_cache(scratch / "cache"))
    if done.process.peak_bytes <= own:
        raise SystemExit("This script itself is larger than headstart, so its peak hides headstart's.")
    used = done.result["data"]["used"]
    if used != size:
        raise SystemExit(f"headstart used {used} of {size} images. Report this fault.")
    return {"peak_bytes": done.process.peak_bytes, "tree_bytes": sampler.peaks["VmRSS"],
            "tree_own_bytes": sampler.peaks["RssAnon"], "wall_s": done.process.wall_s, "timing": done.result["timing"],
            "cache": done.result["cache"], "warnings": done.result["warnings"]}  # fmt: skip


def write_copies(size: int, folder: Path) -> Path:
    """`size` small PNGs with metadata.csv; copy k of an image differs from copy 0 in pixel k."""
    rows = read_csv(elpv.prepare(cache_dir() / "demo", Said()))
    (folder / "images").mkdir(parents=True)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file_name", "label"])
        for number in range(size):
            copy, row = divmod(number, len(rows))
            name = f"images/{number:06d}.png"
            writer.writerow([name, rows[row]["label"]])
            pixels = np.array(Image.open(rows[row]["file_name"]).convert("L").resize((SIDE, SIDE)))
            if copy:
                pixels[0, copy] ^= 255
            Image.fromarray(pixels).save(folder / name)
    return folder


class Sampler:
    """Sums memory over all processes below this one, a few times a second. peaks: bytes by /proc's names."""

    def __init__(self) -> None:
        self.peaks = {"VmRSS": 0, "RssAnon": 0}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            found = [resident(pid) for pid in descendants(os.getpid())]
            for name in self.peaks:
                self.peaks[name] = max(self.peaks[name], sum(f.get(name, 0) for f in found))


def descendants(root: int) -> set[int]:
    """Processes below this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            except (OSError, IndexError):  # it has ended meanwhile
                continue
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in found | {root}} - found:
        found |= more
    return found


def resident(pid: int) -> dict[str, int]:
    """Bytes in memory (VmRSS), and those of them that are not mapped files (RssAnon); empty where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)
            if name in ("VmRSS", "RssAnon")}  # fmt: skip


def _report(found: dict[int, list[dict[str, Any]]], small: bool) -> str:
    columns = ("peak_bytes", "tree_bytes", "tree_own_bytes")
    rows = []
    for size, runs in found.items():
        memory = [spread([r[key] / 1e6 for r in runs], 0) for key in columns]
        rows.append((f"{size:,} images", *memory, spread([r["wall_s"] for r in runs], 0)))
    first, *_, last = found.values() if len(found) > 1 else (*found.values(), *found.values())
    ratios = [spread([b[key] / a[key] for a, b in zip(first, last)]) for key in columns]
    rows.append(("last / first", *ratios, spread([b["wall_s"] / a["wall_s"] for a, b in zip(first, last)], 1)))
    header = ("peak, MB", "largest process (ru_maxrss)", "all processes together",
              "the same, without mapped files", "seconds")  # fmt: skip
    note = ("Mapped files are the feature cache and libraries: the system drops them when memory is short. All "
            f"processes together: sampled every {SAMPLE_S} s, shared pages counted in each.")  # fmt: skip
    # a step left out for want of time would make one size look small
    told = {size: sorted({w for r in runs for w in r["warnings"]}) for size, runs in found.items()}
    warned = [f"{size:,} images: {' '.join(warnings)}" for size, warnings in told.items() if warnings]
    title = f"memory: {MODEL}, --depth head, PNGs of {SIDE} pixels"
    return "\n\n".join([f"### {title}{' (SMALL: for development only)' if small else ''}", table(header, rows), note,
                        *warned, machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
