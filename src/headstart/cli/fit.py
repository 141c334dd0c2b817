"""`headstart fit`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headstart.result import Result


@click.command()
@click.argument("data", type=click.Path())
@click.option(
    "--task",
    help="image-, text- or audio-classification, speech-recognition, translation or summarization; inferred when left "
    "out.",
)
@click.option(
    "--model",
    default="auto",
    show_default=True,
    help="auto, a catalog id, a hub id, a local folder, or an earlier RUN.",
)
@click.option(
    "--budget", default="10m", show_default=True, help="Wall-clock limit: 90s, 5m, 1h. Downloads are excluded."
)
@click.option("--out", type=click.Path(), help="Run folder; runs/<data>-<n> when left out.")
@click.option("--test", type=click.Path(), help="A labelled test set of your own; used once, for the score.")
@click.option(
    "--test-size", type=float, default=0.2, show_default=True, help="Share held out where there is no test set."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--depth",
    type=click.Choice(["auto", "head", "block", "third", "all", "lora"]),
    default="auto",
    show_default=True,
    help="How deep to tune: auto lets held-out folds decide. block: the last block (or the decoder); third: the last "
    "third; all: the whole network; lora: low-rank changes to all of it.",
)
@click.option("--input-column", help="Column with the texts or file names.")
@click.option("--pair-column", help="Column with a second text, judged together with the first (premise, hypothesis).")
@click.option("--target-column", help="Column with the labels, transcripts or texts to write.")
@click.option(
    "--label-separator", help="What stands between several labels in one cell, such as ',' (JSON lists need none)."
)
@click.option("--group-column", help="Rows with the same value here are never separated by a split.")
@click.option(
    "--shift-column",
    help="Each value of this column (site, camera, year) is held out in turn: depth is chosen, and scores are told, by "
    "networks that have not met it.",
)
@click.option(
    "--exclude",
    type=click.Path(),
    help="CSV whose column input (or id) names rows to leave out, such as a run's findings/label_errors.csv.",
)
@click.option(
    "--labels",
    type=click.Path(),
    help="CSV with corrected labels: column input (or id) and label (or suggested). The data stay as they are.",
)
@click.option("--split", type=click.Path(), help="Keep the split of an earlier run: its split.csv.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "openvino", "torch"]),
    default="auto",
    show_default=True,
    help="What runs the frozen part.",
)
@click.option("--plan", type=click.Path(), help="Replay the plan.json of an earlier run.")
@click.option("--offline", is_flag=True, help="Touch no network.")
@click.option("--cache-dir", type=click.Path(), help="Folder for cached features instead of $HEADSTART_CACHE.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json at the end instead of the summary.")
def command(data: str, budget: str, as_json: bool, **options: Any) -> None:
    """Select a pretrained model for DATA, replace its head, fine-tune as deep as evidence supports, evaluate and save.

    DATA: a folder with one sub-folder per class, a folder with metadata.csv, or a CSV, TSV, JSONL or Parquet table.
    """
    run_fit_command(data, budget, as_json, options)


def run_fit_command(
    data: str,
    budget: str,
    as_json: bool,
    options: dict[str, Any],
    published: list[dict[str, Any]] | None = None,
    already_spent: float | None = None,
) -> None:
    """Shared by fit and demo."""
    from headstart.budget import Clock, seconds_since_process_start
    from headstart.cli.progress import make_reporter
    from headstart.settings import Settings, parse_budget

    seconds = parse_budget(budget)
    clock = Clock(seconds, seconds_since_process_start() if already_spent is None else already_spent)
    settings = Settings(data, budget_seconds=seconds, **options)
    if settings.offline:
        forbid_network()
    reporter = make_reporter(clock)
    with clock.stage("start"):
        from headstart.workflow import run_fit
    result = run_fit(settings, reporter, clock, published)
    show_result(result, as_json)


def show_result(result: Result, as_json: bool) -> None:
    """The end of fit and refine on standard output."""
    from headstart.cli.summary import summary_lines

    if as_json:
        click.echo(json.dumps(result.details, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(summary_lines(result.details, str(result.run))))


def forbid_network() -> None:
    """Make libraries that would ask a hub stay on this machine."""
    import os

    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
