"""Seconds of an epoch on telephone prompts: headstart's decoder on cached states, against Seq2SeqTrainer on the model.

headstart: the trainings that its log tells of, after the encoder's one pass. The rival runs the encoder in every step.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from common import Records, Said, machine_line, parser, spread, table
from headstart.demo_data import prompts
from headstart.sources.cache_dir import cache_dir
from headstart.types import Example
from runs import Fit, fit_tables
from splits import model_folder, read_rows, rival, write_tables

MODEL = "pip:whisper-tiny.en"
TASK = "speech-recognition"
COLUMNS = {"input": "file_name", "target": "transcription"}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=1, help="rounds: seeds 0, 1, …")
    made.add_argument("--limit", type=int, help="clips of the rival; its seconds are scaled to all clips")
    made.add_argument("--limit-ours", type=int, help="clips of headstart (for development; marked small)")
    made.add_argument("--budget", default="10m", help="budget of headstart fit")
    made.add_argument("--depth", default="auto", help="depth of headstart fit; one that tunes the decoder")
    arguments = made.parse_args()
    records = Records("speech_epochs", arguments.results, small=arguments.limit_ours is not None)
    records.open(arguments)
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        data = prompts.prepare(cache_dir() / "demo", Said())
        model_folder(MODEL)
        train, test = (list(read_rows(data / side, COLUMNS, arguments.limit_ours, Path(scratch), TASK).examples)
                       for side in ("train", "test"))  # fmt: skip
        found = []
        for seed in range(arguments.seeds):
            found.append(_one_seed(arguments, train, test, seed, Path(scratch) / str(seed)))
            records.write("seed", **found[-1])
    print(_report(found, records.small))


def _one_seed(
    arguments: argparse.Namespace, train: list[Example], test: list[Example], seed: int, scratch: Path
) -> dict[str, Any]:
    """Both systems; even seeds start with headstart."""
    tables = write_tables(train, test, scratch)
    fewer = write_tables(train[: arguments.limit], [], scratch / "rival")
    options = ["--seed", str(seed), "--budget", arguments.budget, "--depth", arguments.depth]

    def ours() -> dict[str, Any]:
        done = fit_tables(tables, scratch / "fit", TASK, MODEL, options)
        return {"trainings": trainings(done), "depth": done.depth, "timing": done.result["timing"]}

    def theirs() -> dict[str, Any]:
        _, answer = rival("whisper_trainer.py", model_folder(MODEL), fewer, scratch)
        scale = len(train) / answer["clips"]
        return {"clips": answer["clips"], "steps": answer["steps"], "batch": answer["batch"],
                "seconds": answer["seconds"], "epoch_s": answer["seconds"]["fit"] * scale}  # fmt: skip

    systems = {"headstart": ours, "rival": theirs}
    measured = {name: systems[name]() for name in list(systems)[:: 1 if seed % 2 == 0 else -1]}
    return {"seed": seed, "clips": len(train), **measured}


def trainings(done: Fit) -> list[dict[str, Any]]:
    """The decoder's whole trainings in the log, with seconds of an epoch over all clips.

    A fold's training holds clips out, so it is scaled to all of them; it scores those clips after each epoch, and its
    seconds count that. Raises SystemExit where nothing was trained.
    """
    folds = done.result["data"]["split"]["folds"]
    found = []
    for event in done.log:
        if event["event"] != "trained" or event["stopped"] or not event["curve"]:
            continue
        epochs, held_out = len(event["curve"]), "dev_loss" in event["curve"][0]
        scale = folds / (folds - 1) if held_out else 1.0
        seconds = event["train_seconds"]
        found.append({"what": event["what"], "epochs": epochs, "steps": event["steps"], "held_out": held_out,
                      "seconds": seconds, "epoch_s": scale * seconds / epochs})  # fmt: skip
    if not found:
        raise SystemExit(f"headstart tuned nothing ({done.depth['why']}). Give a longer --budget, or another --depth.")
    return found


def _report(found: list[dict[str, Any]], small: bool) -> str:
    """Per seed: the training on all clips where there was one, else the median of the folds', scaled."""
    ours, kinds = [], set()
    for seed in found:
        whole = [t["epoch_s"] for t in seed["headstart"]["trainings"] if not t["held_out"]]
        ours.append(float(np.median(whole or [t["epoch_s"] for t in seed["headstart"]["trainings"]])))
        kinds.add("trained on all clips" if whole else "folds scaled to all clips, scoring included")
    theirs = [seed["rival"]["epoch_s"] for seed in found]
    used, clips = found[0]["rival"]["clips"], found[0]["clips"]
    scaled = "" if used == clips else f"; {used} clips, scaled to {clips}"
    frames = [seed["rival"]["seconds"]["features"] for seed in found]
    rows = [(f"headstart, decoder on cached states ({', '.join(sorted(kinds))})", spread(ours, 1), ""),
            (f"Seq2SeqTrainer, batch 8, 1e-5{scaled}", spread(theirs, 1),
             spread([b / a for a, b in zip(ours, theirs)], 1))]  # fmt: skip
    header = ("", "seconds an epoch", "times headstart's")
    once = [seed["headstart"]["timing"] for seed in found]
    note = (f"Not counted: headstart's one encoder pass (in its stages' seconds, {once[0]}), and the rival's log-mel "
            f"frames, {spread(frames, 1)} s.")  # fmt: skip
    title = f"speech_epochs: {clips} clips, {len(found)} seed(s)"
    return "\n\n".join([f"### {title}{' (SMALL: for development only)' if small else ''}", table(header, rows), note,
                        machine_line()])  # fmt: skip


if __name__ == "__main__":
    main()
