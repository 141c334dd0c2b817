"""`headstart cache` and `headstart cache clear`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headstart.feature_store import StoreInfo

# folder in the cache -> what it holds; models and demo data are never cleared
PARTS = {"features": "features", "engines": "engines", "models": "models", "demo": "demo data"}
ENGINE_FILE = re.compile(r"[0-9a-f]{32}(-[0-9a-z]+)*\.(bin|xml|sha256|json)")
COLUMNS = ("model", "cut", "view", "engine")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the cached features, and what the whole cache takes; `cache clear` removes features.

    Features beyond the cap are removed by the next run, those not used for longest first. HEADSTART_CACHE chooses the
    folder, HEADSTART_CACHE_SIZE the cap: a number with KB, MB, GB or TB.
    """
    if context.invoked_subcommand is not None:
        return
    from headstart.feature_store import cap_bytes, list_stores
    from headstart.feature_store.files import folder_bytes
    from headstart.sources.cache_dir import cache_dir

    root = cache_dir()
    stores = list_stores(root / "features")
    taken = {part: folder_bytes(root / part) for part in PARTS}
    cap = cap_bytes(root)
    if as_json:
        listed = [_as_json(store) for store in stores]
        content = {"folder": str(root), "cap_bytes": cap, "bytes": taken, "stores": listed}
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(root, stores, taken, cap)))


@command.command("clear")
@click.option("--all", "everything", is_flag=True, help="Converted networks (engines) as well.")
def clear_command(everything: bool) -> None:
    """Remove the cached features; later runs compute them again. Features that a run uses now stay."""
    from headstart.feature_store import clear
    from headstart.feature_store.files import folder_bytes
    from headstart.sources.cache_dir import cache_dir

    root = cache_dir()
    before = folder_bytes(root / "features")
    removed, kept = clear(root / "features")
    freed = before - folder_bytes(root / "features")
    click.echo(f"Removed the features of {_count(removed)}, {size(freed)}.")
    if kept:
        click.echo(f"Kept {_count(kept)}: in use by a run, or cannot be removed.")
    if everything:
        count, freed = _clear_engines(root / "engines")
        click.echo(f"Removed {count} files of converted networks, {size(freed)}.")


def _clear_engines(folder: Path) -> tuple[int, int]:
    """Remove the files that an engine keeps, and no others; how many went and their bytes."""
    count = freed = 0
    for file in folder.glob("*"):
        if ENGINE_FILE.fullmatch(file.name) and file.is_file():
            taken = file.stat().st_size
            file.unlink(missing_ok=True)
            count, freed = count + 1, freed + taken
    return count, freed


def size(count: float) -> str:
    """Bytes in words: 37 KB, 1.2 GB."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.1f} {unit}" if count < 10 and unit in ("MB", "GB") else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _lines(root: Path, stores: list[StoreInfo], taken: dict[str, int], cap: int) -> list[str]:
    rows = [("MODEL", "CUT", "VIEW", "ENGINE", "EXAMPLES", "SIZE", "LAST USED")]
    for store in stores:
        model, cut, view, engine = (store.about.get(name, "?") for name in COLUMNS)
        used = "now" if store.in_use else _date(store.used)
        rows.append((model, cut, view, engine, f"{store.examples:,}", size(store.bytes), used))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows]
    totals = [f"{name:10} {size(taken[part]):>8}" for part, name in PARTS.items()]
    totals[0] += f"  in {_count(stores)}; at most {size(cap)} are kept"
    return [*(lines if stores else ["No features are cached."]), "", *totals, "", f"In {root}"]


def _as_json(store: StoreInfo) -> dict[str, Any]:
    return {
        "folder": str(store.folder),
        "examples": store.examples,
        "bytes": store.bytes,
        "last_used": _date(store.used),
        "in_use": store.in_use,
        "about": store.about,
    }


def _date(seconds: float) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _count(stores: list[Any]) -> str:
    return "1 store" if len(stores) == 1 else f"{len(stores)} stores"
