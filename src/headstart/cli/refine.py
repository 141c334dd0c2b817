"""`headstart refine`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path())
@click.option(
    "--labels",
    type=click.Path(),
    help="CSV with corrected labels: RUN/findings/label_errors.csv without the lines that you don't agree with, or any "
    "with a column input (or id) and label (or suggested).",
)
@click.option("--exclude", type=click.Path(), help="CSV whose column input (or id) names rows to leave out.")
@click.option("--budget", help="Wall-clock limit: 90s, 5m, 1h; that of RUN when left out.")
@click.option("--data", type=click.Path(), help="Where the data lie now, perhaps with more rows.")
@click.option("--out", type=click.Path(), help="Folder of the new run; runs/<data>-<n> when left out.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json at the end instead of the summary.")
def command(
    run: str,
    labels: str | None,
    exclude: str | None,
    budget: str | None,
    data: str | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Continue a finished RUN in a new folder, and compare before and after on the same rows.

    Data, settings, model and split are those of RUN: test rows stay test rows. What it has cached is used again, so
    that only new or changed rows pass through the frozen network.
    """
    from headstart.budget import Clock, seconds_since_process_start
    from headstart.cli.fit import forbid_network, show_result
    from headstart.cli.progress import make_reporter
    from headstart.settings import parse_budget

    spent = seconds_since_process_start()
    with (starting := Clock(0.0, spent)).stage("start"):
        from headstart.refinement import refine_settings, run_refine
    seconds = None if budget is None else parse_budget(budget)
    settings = refine_settings(Path(run), seconds, data=data, out=out, labels=labels, exclude=exclude)
    clock = Clock(settings.budget_seconds, starting.spent())
    clock.stages |= starting.stages
    if settings.offline:
        forbid_network()
    show_result(run_refine(Path(run), settings, make_reporter(clock), clock), as_json)
