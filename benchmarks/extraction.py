"""Feature extraction: headstart against timm, OpenVINO's throughput mode, sentence-transformers and transformers.

Every measurement is a process of its own (extraction_systems.py), with the machine's matrix rate measured around it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import HERE, Records, Said, machine_line, parser, run_process, spread, table
from headstart.demo_data import debian, elpv, prompts
from headstart.sources.cache_dir import cache_dir
from headstart.sources.catalog import CATALOG
from multiply_adds import work
from splits import model_folder, read_rows

IMAGES, TEXTS, SPEECH = "pip:efficientnet-lite0", "pip:all-minilm-l6-v2", "pip:whisper-tiny.en"
SYSTEMS = {
    IMAGES: ("headstart", "timm eager", "timm channels_last", "DataLoader + OpenVINO throughput, batch 8",
             "DataLoader + OpenVINO throughput, batch 32"),
    TEXTS: ("headstart", "sentence-transformers"),
    SPEECH: ("headstart", "transformers encoder"),
}  # fmt: skip
DEFAULTS = {IMAGES: 512, TEXTS: 2048, SPEECH: 96}  # numbers of inputs
BUSY = 1.5  # matrix rates that differ by more than this in one run were not those of an idle machine


def main() -> None:
    made = parser(__doc__)
    for model, name in ((IMAGES, "images"), (TEXTS, "texts"), (SPEECH, "recordings")):
        made.add_argument(f"--{name}", dest=model, metavar="N", type=_number, default=DEFAULTS[model],
                          help="how many, drawn at random; all: the whole data set; 0: leave them out")  # fmt: skip
    made.add_argument("--rounds", type=int, default=3, help="each round measures every system; the first one rotates")
    arguments = made.parse_args()
    wanted = {model: vars(arguments)[model] for model in SYSTEMS if vars(arguments)[model] > 0}
    records = Records("extraction", arguments.results, small=any(n < DEFAULTS[m] for m, n in wanted.items()))
    records.open(arguments)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        inputs = {model: _inputs(model, number, Path(scratch)) for model, number in wanted.items()}
        for number in range(arguments.rounds):
            for model, file in inputs.items():
                names = SYSTEMS[model]
                turn = number % len(names)
                for system in (*names[turn:], *names[:turn]):
                    facts = _measured(system, model, file, number)
                    found.setdefault((model, system), []).append(facts)
                    records.write("measurement", **facts)
        amounts = {model: work(model, model_folder(model), json.loads(f.read_text())) for model, f in inputs.items()}
    print(_report(found, amounts, records))


def _number(text: str) -> int:
    return sys.maxsize if text == "all" else int(text)


def _inputs(model: str, number: int, scratch: Path) -> Path:
    """A file with the same inputs for every system: a random draw with a fixed seed."""
    root = cache_dir() / "demo"
    columns = {"input": "file_name", "target": "label"}
    if model == IMAGES:
        data = elpv.prepare(root, Said())
    elif model == TEXTS:
        data, columns = debian.prepare(root, Said()), {"input": "text", "target": "section"}
    else:
        data, columns = prompts.prepare(root, Said()), {"input": "file_name", "target": "transcription"}
    examples = read_rows(data, columns, None, scratch).examples
    order = np.random.default_rng(0).permutation(len(examples))[:number]
    file = scratch / f"{CATALOG[model].modality}.json"
    file.write_text(json.dumps([examples[i].input for i in order]))
    return file


def _measured(system: str, model: str, inputs: Path, number: int) -> dict[str, Any]:
    """One measurement, with the machine's matrix rate: the better of just before and just after."""
    model_folder(model)
    before = sgemm()
    process = run_process([sys.executable, HERE / "extraction_systems.py", system, model, inputs])
    rates = [before, sgemm()]
    return {"model": model, "system": system, "round": number, "sgemm_flops": max(rates), "sgemm_rates": rates,
            **json.loads(process.output)}  # fmt: skip


def sgemm(size: int = 2048, repeats: int = 8) -> float:
    """The best of a few float32 matrix products, in FLOP/s."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, size, size), dtype=np.float32)
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 / min(seconds)


def _report(
    found: dict[tuple[str, str], list[dict[str, Any]]], amounts: dict[str, tuple[float, float]], records: Records
) -> str:
    rows, summary = [], []
    for (model, system), measured in found.items():
        units, multiply_adds = amounts[model]
        rates = [units / m["seconds"] for m in measured]
        shares = [100 * 2 * multiply_adds / m["seconds"] / m["sgemm_flops"] for m in measured]
        ratios = [m["seconds"] / ours["seconds"] for m, ours in zip(measured, found[model, "headstart"])]
        opened = [m["open_seconds"] for m in measured if "open_seconds" in m]
        summary.append({"model": model, "system": system, "units_per_s": rates, "percent_of_sgemm": shares,
                        "times_headstarts_seconds": ratios})  # fmt: skip
        rows.append((CATALOG[model].modality, system, spread(rates, 1), spread(shares, 0), spread(ratios),
                     spread(opened, 1) if opened else ""))  # fmt: skip
    told = {model: {"units": units, "multiply_adds": count} for model, (units, count) in amounts.items()}
    records.write("summary", work=told, systems=summary)
    flops = [m["sgemm_flops"] / 1e9 for measured in found.values() for m in measured]
    busy = "" if max(flops) < BUSY * min(flops) else " The machine was busy: the shares are not to be trusted."
    header = ("", "system", "images, real tokens or recordings a second", "% of sgemm", "times headstart's seconds",
              "opening, s")  # fmt: skip
    title = f"### extraction, median (range) of {max(map(len, found.values()))} rounds"
    return "\n".join([title + (" (SMALL: for development only)" if records.small else ""), "", table(header, rows), "",
                      f"sgemm of numpy at 2048: {spread(flops, 0)} GFLOP/s.{busy}", "", machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
