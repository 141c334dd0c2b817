"""A training step of EfficientNet-Lite0's last block and last third while other jobs use the cores: headstart's threads
wait for each other briefly, torch's as torch comes with them wait for milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import Records, machine_line, parser, run_process, spread, table

BATCH = 32
STEPS = 20
CUTS = {"last block": (6, (192, 7, 7)), "last third": (5, (112, 14, 14))}  # the block tuned first, the state before it
WAYS = ("headstart", "torch")
BUSY = "import torch; torch.set_num_threads(1); a = torch.rand(512, 512); print('ready', flush=True)\nwhile True: a @ a"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, nargs="+", default=[0, 1, os.cpu_count() or 1], help="busy threads beside")
    made.add_argument("--repeats", type=int, default=5, help="processes of each kind, in turns")
    made.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    arguments = made.parse_args()
    if arguments.child:
        print(json.dumps(_steps(arguments.child)))
        return
    records = Records("busy_machine", arguments.results, small=False)
    records.open(arguments)
    found: dict[tuple[int, str, str], list[float]] = {}
    for jobs in dict.fromkeys(arguments.jobs):
        with _busy(jobs):
            for number in range(arguments.repeats):
                for way in WAYS if number % 2 else WAYS[::-1]:
                    child = run_process([sys.executable, Path(__file__).resolve(), "--child", way])
                    seconds = json.loads(child.output)
                    records.write("steps", jobs=jobs, way=way, repeat=number, seconds=seconds)
                    for cut, value in seconds.items():
                        found.setdefault((jobs, cut, way), []).append(1000 * value)
    rows = []
    for jobs in dict.fromkeys(arguments.jobs):
        for cut in CUTS:
            ours, theirs = (found[jobs, cut, way] for way in WAYS)
            rows.append((jobs, cut, spread(ours, 0), spread(theirs, 0), spread([a / b for a, b in zip(ours, theirs)])))
    header = ("busy threads beside", "tuned", "headstart, ms a step", "torch as it comes, ms", "headstart / torch")
    print(f"### busy_machine: batches of {BATCH}, {arguments.repeats} processes each\n")
    print(table(header, rows), machine_line(), sep="\n\n")


@contextmanager
def _busy(jobs: int) -> Iterator[None]:
    """So many processes beside, each of which keeps a core busy."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) for _ in range(jobs)]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def _steps(way: str) -> dict[str, float]:
    """Median seconds of a training step, by what is tuned."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        os.environ.pop(name, None)
    import headstart  # noqa: F401  (tells OpenMP how threads wait, which reads it when torch is loaded)

    if way == "torch":
        del os.environ["GOMP_SPINCOUNT"]
    from headstart.allocator import keep_freed_memory
    from headstart.stock import torchvision_ops

    keep_freed_memory()
    torchvision_ops.ensure()
    import timm
    import torch

    model = timm.create_model("tf_efficientnet_lite0", num_classes=2).eval().to(memory_format=torch.channels_last)
    medians = {}
    for name, (cut, size) in CUTS.items():
        suffix = torch.nn.Sequential(
            *model.blocks[cut:], model.conv_head, model.bn2, model.global_pool, model.classifier
        )
        optimizer = torch.optim.AdamW(suffix.parameters(), fused=True)
        states = torch.rand(BATCH, *size).contiguous(memory_format=torch.channels_last)
        targets = torch.zeros(BATCH, dtype=torch.long)
        seconds = []
        for _ in range(STEPS + 2):
            begin = time.perf_counter()
            torch.nn.functional.cross_entropy(suffix(states), targets).backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.perf_counter() - begin)
        medians[name] = statistics.median(seconds[2:])
    return medians


if __name__ == "__main__":
    main()
