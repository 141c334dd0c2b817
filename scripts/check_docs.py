"""Write docs/cli.md from the commands' own help; with --check, fail where docs are stale or a link leads nowhere.

Checked: docs/cli.md equals what the commands say; relative links in all pages lead to files; ARCHITECTURE.md's file
map names every file of the package and no other.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from headstart.cli import cli

ROOT = Path(__file__).parent.parent
CLI_PAGE = ROOT / "docs" / "cli.md"
WIDTH = 100
HEADER = """# Commands

Generated from the commands' own help by `make docs`; do not edit.
"""
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_MAP_LINE = re.compile(r"^- `([\w./]+\.(?:py|j2))`", re.MULTILINE)


def cli_page() -> str:
    """The page: every command's help, sub-commands after their command."""
    parts = [HEADER]
    for path, command in _commands(cli, "headstart"):
        context = click.Context(command, info_name=path, terminal_width=WIDTH, help_option_names=["-h", "--help"])
        parts.append(f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, f"{path} lists {name} but does not have it"
            yield from _commands(found, f"{path} {name}")


def dead_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file."""
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in _LINK.findall(text) if "://" not in target]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    return [f"{page.relative_to(ROOT)} links to {target}, which is not there." for target in missing]


def file_map_faults() -> list[str]:
    """Files that ARCHITECTURE.md's map leaves out, and files in it that do not exist."""
    package = ROOT / "src" / "headstart"
    there = {p.relative_to(package).as_posix() for kind in ("*.py", "*.j2") for p in package.rglob(kind)}
    named = set(_MAP_LINE.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    lacking = [f"ARCHITECTURE.md's file map lacks {name}." for name in sorted(there - named)]
    gone = [f"ARCHITECTURE.md's file map names {name}, which is not there." for name in sorted(named - there)]
    return lacking + gone


def faults() -> list[str]:
    """Everything that is wrong, one sentence each."""
    found = []
    if not CLI_PAGE.is_file() or CLI_PAGE.read_text(encoding="utf-8") != cli_page():
        found.append(f"{CLI_PAGE.relative_to(ROOT)} is stale. Run `make docs`.")
    for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))):
        found += dead_links(page)
    return found + file_map_faults()


def main() -> None:
    """Write the page, or check with --check."""
    if sys.argv[1:] == ["--check"]:
        found = faults()
        for fault in found:
            click.echo(fault, err=True)
        sys.exit(bool(found))
    if sys.argv[1:]:
        sys.exit("usage: check_docs.py [--check]")
    CLI_PAGE.write_text(cli_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
