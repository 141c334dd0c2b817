"""CPU seconds of `headstart --help`, alternating with an empty Python program."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from common import Process, Records, machine_line, parser, run_process, table

BAR_S = 0.3


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=20)
    arguments = made.parse_args()
    records = Records("cli_startup", arguments.results, small=arguments.runs < 20)
    records.open(arguments)
    script = Path(sys.executable).with_name("headstart")
    ours = [str(script)] if script.is_file() else [sys.executable, "-m", "headstart"]
    commands = {"headstart --help": [*ours, "--help"], "python -c pass": [sys.executable, "-c", "pass"]}
    for command in commands.values():
        run_process(command)  # once unmeasured: byte code is compiled, files are in memory
    found: dict[str, list[Process]] = {name: [] for name in commands}
    for number in range(arguments.runs):
        for name in list(commands)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(run_process(commands[name]))
    records.write("summary", bar_s=BAR_S, command=commands["headstart --help"], cpu_s={
        name: [p.cpu_s for p in processes] for name, processes in found.items()}, wall_s={
        name: [p.wall_s for p in processes] for name, processes in found.items()})  # fmt: skip
    print(_table(found, arguments.runs))


def _table(found: dict[str, list[Process]], runs: int) -> str:
    rows = []
    for name, processes in found.items():
        cpu = [p.cpu_s for p in processes]
        figures = (np.median(cpu), min(cpu), max(cpu), np.median([p.wall_s for p in processes]))
        rows.append((f"`{name}`", *(f"{value:.3f}" for value in figures)))
    median = float(np.median([p.cpu_s for p in found["headstart --help"]]))
    verdict = f"Bar: {BAR_S} CPU seconds; median {median:.3f}: {'met' if median <= BAR_S else 'MISSED'}."
    header = ("", "CPU s, median", "smallest", "largest", "wall s, median")
    return "\n".join([f"### cli_startup: {runs} runs each", "", table(header, rows), "", verdict, "", machine_line()])


if __name__ == "__main__":
    main()
