"""French phone prompts with Whisper tiny.en, which knows English alone: what a fit makes of it, against it untouched.

The transcripts stay far from usable; shown is how far, and what a larger or multilingual model would have to beat.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from common import Records, Said, machine_line, parser, table
from headstart.demo_data import prompts
from headstart.sources.cache_dir import cache_dir
from runs import fit, fresh_cache
from splits import model_folder

MODEL = "pip:whisper-tiny.en"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--budget", default="10m", help="budget of headstart fit")
    made.add_argument("--seeds", type=int, default=1, help="fits: seeds 0, 1, … (the split is given)")
    made.add_argument("--language", default="fr", choices=["fr", "es", "it", "ru"])
    arguments = made.parse_args()
    records = Records("speech_french", arguments.results, small=False)
    records.open(arguments)
    model_folder(MODEL)
    data, rows = prompts.prepare(cache_dir() / "demo", Said(), arguments.language), []
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        for seed in range(arguments.seeds):
            place = Path(scratch) / str(seed)
            done = fit([data, "--model", MODEL, "--budget", arguments.budget, "--seed", str(seed)], place / "run",
                       fresh_cache(place / "cache"))  # fmt: skip
            result = done.result
            records.write("run", seed=seed, wall_s=done.process.wall_s, depth=done.depth, warnings=result["warnings"],
                          metrics=result["metrics"], evidence=result["evidence"], rows=result["data"])  # fmt: skip
            test, control = result["metrics"]["test"], result["evidence"]["control"]
            for metric in ("wer", "cer"):
                score = test[metric]
                told = f"{100 * score['low']:.1f} to {100 * score['high']:.1f}"
                before = f"{100 * control['metrics'][metric]['value']:.1f}" if control else "-"
                rows.append((seed, metric.upper(), f"{100 * score['value']:.1f}", told, before))
            print(f"{done.depth['chosen']}: {done.depth['why']}\n{result['evidence']['sentence']}\n")
    header = ("seed", "%", "headstart", "95% interval", "untouched, on the rows it was given")
    print(
        "\n\n".join(
            [f"### speech_french: {arguments.language}, {arguments.budget}", table(header, rows), machine_line()]
        )
    )


if __name__ == "__main__":
    main()
