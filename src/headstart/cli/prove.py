"""`headstart prove`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path())
@click.option("--budget", default="2h", show_default=True, help="Wall-clock limit: 20m, 2h.")
@click.option("--data", type=click.Path(), help="Where the data lie now; where they lay, if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the proof as JSON instead of a summary.")
def command(run: str, budget: str, data: str | None, as_json: bool) -> None:
    """Train RUN's network from random weights as long as it helps, and compare.

    Same network, same labels, same views of the inputs; scored on the same rows as RUN (of texts, on as many as fit),
    paired. Where the time allows, also on smaller parts of the labels, to say how many labels transfer was worth. The
    proof is added to RUN's result.json and report.html.
    """
    from headstart.budget import Clock
    from headstart.cli.fit import forbid_network
    from headstart.cli.progress import make_reporter
    from headstart.proof import run_prove
    from headstart.run_dir import read_result
    from headstart.settings import parse_budget

    clock = Clock(parse_budget(budget))
    if (read_result(Path(run)).get("settings") or {}).get("offline"):
        forbid_network()
    proof = run_prove(Path(run), make_reporter(clock), clock, data)
    if as_json:
        click.echo(json.dumps(proof, indent=2, ensure_ascii=False))
        return
    click.echo(f"\n{proof['sentence']}")
    if proof.get("multiplier"):
        click.echo(proof["multiplier"]["sentence"])
    click.echo(f"Where      {run}/report.html")
