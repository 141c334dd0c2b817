"""`headstart demo`."""

from __future__ import annotations

import click


@click.command()
@click.argument(
    "name", type=click.Choice(["images", "text", "audio", "speech", "summaries", "trees"]), default="images"
)
@click.option("--budget", help="Wall-clock limit; each demo has its own default.")
@click.option("--out", type=click.Path(), help="Run folder.")
@click.option("--seed", type=int, default=0, show_default=True)
def command(name: str, budget: str | None, out: str | None, seed: int) -> None:
    """The main job on real data: solar-cell images, package descriptions (text), or telephone prompts (speech).

    audio: which of five languages a telephone prompt is in. summaries: descriptions to one line, by a small language
    model that writes on. trees: crowns in an aerial image, as boxes.

    Data and weights come from package registries and are kept in the cache; fetching them is outside the budget.
    """
    from headstart import sources
    from headstart.cli.fit import run_fit_command
    from headstart.cli.progress import make_reporter
    from headstart.demo_data import DEMOS
    from headstart.sources.cache_dir import cache_dir

    demo = DEMOS[name]
    reporter = make_reporter()
    reporter.say(demo.title)
    data = demo.prepare(cache_dir() / "demo", reporter)
    for entry in sources.CATALOG.values():
        if demo.task in entry.tasks:
            sources.get(entry.id, reporter)
    settings = {k: v for k, v in demo.settings.items() if k != "budget"}
    options = {"task": demo.task, "seed": seed, "out": out, **settings}
    # fetching comes before the clock, as downloads do in fit
    run_fit_command(
        str(data), budget or str(demo.settings["budget"]), False, options, list(demo.published), already_spent=0.0
    )
