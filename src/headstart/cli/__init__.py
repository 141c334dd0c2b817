"""The command line. Each command's file is imported when it is called: --help stays fast."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module
from typing import Any

import click

# command -> (module under headstart.cli, one line for --help)
COMMANDS = {
    "demo": "the main job on real data with weights that pip packages carry",
    "fit": "select a model, replace its head, fine-tune, evaluate, save",
    "predict": "predict with a finished run",
    "evaluate": "score a finished run on other labelled data",
    "refine": "continue a finished run with corrected labels, rows left out, or more time",
    "prove": "train the same network from random weights to the end, and compare",
    "report": "where a run's report is; --open shows it, --compare puts runs side by side",
    "models": "the pretrained models; `models get ID` fetches one",
    "cache": "what cached features take; `cache clear` removes them",
    "doctor": "check this machine and installation",
}


class _Lazy(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"headstart.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Commands: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headstart")
def cli() -> None:
    """Give your model a head start: measured transfer learning for small data on ordinary computers."""


def main() -> None:
    """Run the command line; errors the user can mend become one line and exit code 2."""
    from headstart.errors import HeadstartError

    atexit.register(gc.freeze)  # else a second goes into looking for cycles among what ends with the process anyway
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except HeadstartError as error:
        click.echo(f"headstart: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
