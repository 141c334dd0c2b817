"""Feature extraction: headstart against timm with a DataLoader, and against sentence-transformers' encode.

Every measurement is a process of its own: model loaded, one batch for warming up, then the clock. Decoding is included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import HERE, Records, Said, machine_line, parser, run_process, spread, table
from headstart.demo_data import debian, elpv
from headstart.sources.cache_dir import cache_dir
from headstart.sources.catalog import CATALOG
from splits import model_folder, read_rows

IMAGES, TEXTS = "pip:efficientnet-lite0", "pip:all-minilm-l6-v2"
SYSTEMS = {
    IMAGES: ("headstart", "timm eager", "timm channels_last"),
    TEXTS: ("headstart", "sentence-transformers"),
}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--images", type=int, default=512)
    made.add_argument("--texts", type=int, default=2048)
    made.add_argument("--rounds", type=int, default=3, help="each round measures every system; the first one rotates")
    made.add_argument("--measure", nargs=3, metavar=("SYSTEM", "MODEL", "INPUTS"), help=argparse.SUPPRESS)
    arguments = made.parse_args()
    if arguments.measure:
        system, model, inputs = arguments.measure
        print(json.dumps(measure(system, model, json.loads(Path(inputs).read_text()))))
        return
    records = Records("extraction", arguments.results, small=arguments.images < 512 or arguments.texts < 2048)
    records.open(arguments)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        inputs = _inputs(arguments, Path(scratch))
        for number in range(arguments.rounds):
            for model, names in SYSTEMS.items():
                turn = number % len(names)
                for system in (*names[turn:], *names[:turn]):
                    facts = _measured(system, model, inputs[model], number)
                    found.setdefault((model, system), []).append(facts)
                    records.write("measurement", **facts)
        work = {model: _multiply_adds(model, inputs[model]) for model in SYSTEMS}
    print(_report(found, work, records))


def _inputs(arguments: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    """A file for each model with the same inputs for every system: a random draw with a fixed seed."""
    root = cache_dir() / "demo"
    images = read_rows(elpv.prepare(root, Said()), {"input": "file_name", "target": "label"}, None, scratch)
    texts = read_rows(debian.prepare(root, Said()), {"input": "text", "target": "section"}, None, scratch)
    files = {}
    for model, dataset, wanted in ((IMAGES, images, arguments.images), (TEXTS, texts, arguments.texts)):
        order = np.random.default_rng(0).permutation(len(dataset.examples))[:wanted]
        files[model] = scratch / f"{CATALOG[model].modality}.json"
        files[model].write_text(json.dumps([dataset.examples[i].input for i in order]))
    return files


def _measured(system: str, model: str, inputs: Path, number: int) -> dict[str, Any]:
    """One measurement, with the machine's matrix rate just before it."""
    rate = sgemm()
    model_folder(model)
    process = run_process([sys.executable, HERE / "extraction.py", "--measure", system, model, inputs])
    return {"model": model, "system": system, "round": number, "sgemm_flops": rate, **json.loads(process.output)}


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


def measure(system: str, model: str, inputs: Sequence[str]) -> dict[str, Any]:
    """Seconds for all inputs; what runs in the process of its own."""
    if system == "headstart":
        return _headstart(model, inputs)
    sys.path.insert(0, str(HERE / "rivals"))
    folder = model_folder(model)
    if system == "sentence-transformers":
        import sentence_logistic

        encoder = sentence_logistic.load(folder)
        encoder.encode(list(inputs[:32]), show_progress_bar=False)
        begin = time.perf_counter()
        encoder.encode(list(inputs), show_progress_bar=False)
        return {"seconds": time.perf_counter() - begin}
    import timm_logistic
    import torch

    network, transform = timm_logistic.load(folder)
    layout = torch.channels_last if system == "timm channels_last" else torch.contiguous_format
    network = network.to(memory_format=layout)
    timm_logistic.features(network, transform, list(inputs[:32]), layout == torch.channels_last)
    begin = time.perf_counter()
    timm_logistic.features(network, transform, list(inputs), layout == torch.channels_last)
    return {"seconds": time.perf_counter() - begin}


def _headstart(model: str, inputs: Sequence[str]) -> dict[str, Any]:
    """Extraction into a fresh cache; opening (conversion, choice of engine) is timed apart."""
    from headstart import sources
    from headstart.backbones.load import load_backbone
    from headstart.features import extract, open_extractor
    from headstart.types import Example

    examples = [Example(str(i), value, None, str(i), str(i)) for i, value in enumerate(inputs)]
    backbone = load_backbone(sources.resolve(model, True, Said()))
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as folder:
        begin = time.perf_counter()
        extractor = open_extractor(backbone, examples[:8], Path(folder), Said())
        opened = time.perf_counter()
        extract(extractor, examples, backbone.views[:1], Said(), "Features")
        done = time.perf_counter()
    return {"seconds": done - opened, "open_seconds": opened - begin, "engine": extractor.engine.name}


def _multiply_adds(model: str, inputs: Path) -> tuple[float, float]:
    """(units, multiply-adds) of all inputs. Units: images, or real tokens (after truncation).

    Texts: the catalog's count is for 256 tokens; 2·layers·width·T² of it is attention, the rest grows with T.
    """
    values, entry = json.loads(inputs.read_text()), CATALOG[model]
    if entry.modality == "image":
        return len(values), len(values) * entry.multiply_adds
    from tokenizers import Tokenizer

    folder = model_folder(model)
    config = json.loads((folder / "config.json").read_text())
    longest = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    lengths = np.array([len(e.ids) for e in tokenizer.encode_batch(values)], dtype=np.float64)
    attention = 2 * config["num_hidden_layers"] * config["hidden_size"]
    linear = (entry.multiply_adds - attention * 256**2) / 256
    return float(lengths.sum()), float((linear * lengths + attention * lengths**2).sum())


def _report(
    found: dict[tuple[str, str], list[dict[str, Any]]], work: dict[str, tuple[float, float]], records: Records
) -> str:
    rows, summary = [], []
    for (model, system), measured in found.items():
        units, multiply_adds = work[model]
        rates = [units / m["seconds"] for m in measured]
        shares = [100 * 2 * multiply_adds / m["seconds"] / m["sgemm_flops"] for m in measured]
        ratios = [m["seconds"] / ours["seconds"] for m, ours in zip(measured, found[model, "headstart"])]
        opened = [m["open_seconds"] for m in measured if "open_seconds" in m]
        summary.append({"model": model, "system": system, "units_per_s": rates, "percent_of_sgemm": shares,
                        "times_headstarts_seconds": ratios})  # fmt: skip
        rows.append((CATALOG[model].modality, system, spread(rates, 0), spread(shares, 0), spread(ratios),
                     spread(opened, 1) if opened else ""))  # fmt: skip
    records.write("summary", work={m: {"units": w[0], "multiply_adds": w[1]} for m, w in work.items()}, systems=summary)
    flops = [m["sgemm_flops"] / 1e9 for measured in found.values() for m in measured]
    counts = {model: len(found[model, "headstart"]) for model in SYSTEMS}
    header = ("", "system", "images or real tokens a second", "% of sgemm", "times headstart's seconds", "opening, s")
    title = f"### extraction, median (range) of {max(counts.values())} rounds"
    return "\n".join([title + (" (SMALL: for development only)" if records.small else ""), "", table(header, rows), "",
                      f"sgemm of numpy at 2048: {spread(flops, 0)} GFLOP/s.", "", machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
