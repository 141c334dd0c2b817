"""`headstart report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path())
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
def command(run: str, show: bool) -> None:
    """Say where the report of RUN is."""
    from headstart.errors import RunError

    file = Path(run) / "report.html"
    if not file.is_file():
        raise RunError(f"{run} has no report.html. Give the folder that `headstart fit` printed.")
    click.echo(str(file))
    if show:
        webbrowser.open(file.resolve().as_uri())
