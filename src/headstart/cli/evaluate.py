"""`headstart evaluate`."""

from __future__ import annotations

import json
import math

import click


@click.command()
@click.argument("run", type=click.Path())
@click.argument("data", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: str, data: str, as_json: bool) -> None:
    """Score a finished RUN on labelled DATA, laid out like the training data; adds RUN/evaluations/<name>.json."""
    from headstart.api import evaluate
    from headstart.cli.progress import make_reporter

    content = evaluate(run, data, make_reporter())
    if as_json:
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    click.echo(f"{content['rows']} rows, {content['quarantined']} not usable")
    for name, value in content["metrics"].items():
        known = math.isfinite(value["low"]) and math.isfinite(value["high"])
        ends = (
            f"95% interval {value['low']:.4f} to {value['high']:.4f}"
            if known
            else "no interval: a single group of rows"
        )
        click.echo(f"{name:24} {value['value']:.4f}  ({ends})")
    for level in content.get("conformal", {}).get("levels", []):
        if covered := level["coverage"]:
            name = f"sets at {100 * level['promised']:g}%"
            click.echo(
                f"{name:24} {covered['value']:.4f}  (95% interval {covered['low']:.4f} to {covered['high']:.4f}) hold "
                f"the true class; {100 * level['undecided']:.1f}% of rows left undecided"
            )
    if "ood" in content:
        click.echo(
            f"{content['ood']['flagged']} of {content['ood']['rows']} rows are unlike the development rows (ood)"
        )
