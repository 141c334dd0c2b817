"""`headstart report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path())
@click.argument("others", nargs=-1, type=click.Path())
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@click.option("--compare", type=click.Path(), help="Another run, after it perhaps more: put them side by side.")
def command(run: str, others: tuple[str, ...], show: bool, compare: str | None) -> None:
    """Say where the report of RUN is; with --compare OTHER [OTHER...], compare it with other runs.

    Runs are compared on the rows that both were scored on, and RUN/comparison.html shows the same.
    """
    if others and compare is None:
        raise click.UsageError(f"{others[0]} is a second run. Put --compare before it, or leave it out.")
    file = Path(run) / "report.html" if compare is None else _compared([run, compare, *others])
    if not file.is_file():
        from headstart.errors import RunError

        raise RunError(f"{run} has no report.html. Give the folder that `headstart fit` printed.")
    click.echo(str(file))
    if show and not _opened(file):
        click.echo(f"No browser was found. Open {file.resolve().as_uri()} in one.", err=True)


def _compared(runs: list[str]) -> Path:
    from headstart.compare_page import compare_runs, comparison_lines, write_comparison

    found = compare_runs([Path(run) for run in runs])
    click.echo("\n".join(comparison_lines(found)))
    return write_comparison(found, Path(runs[0]) / "comparison.html")


def _opened(file: Path) -> bool:
    import webbrowser

    try:
        return webbrowser.open(file.resolve().as_uri())
    except webbrowser.Error:
        return False
