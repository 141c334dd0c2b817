"""`headstart predict`."""

from __future__ import annotations

import glob
import json
import sys
from collections import Counter
from pathlib import Path

import click

from headstart.cli.box_output import BoxFiles
from headstart.cli.subtitles import Subtitles
from headstart.types import Found


@click.command()
@click.argument("run", type=click.Path())
@click.argument("inputs", nargs=-1)
@click.option("--text", "texts", multiple=True, help="A text to classify; may be given more than once.")
@click.option("--pair", "pairs", multiple=True, help="The second text of a pair; one for each --text.")
@click.option("--input-column", help="Column of a table that holds the inputs; the training data's when left out.")
@click.option(
    "--abstain",
    type=float,
    metavar="SHARE",
    help="Leave undecided what is not sure enough, for example 0.05: an input gets a label only where a conformal set "
    "holds one class, else null and its candidates. Promised: of inputs drawn like the development rows, at most this "
    "share gets a set without its true class; on average over all inputs, not for each class. For classes only.",
)
@click.option(
    "--draw", type=click.Path(), metavar="FOLDER", help="Write each image with its boxes there. For detectors."
)
@click.option("--coco", type=click.Path(), metavar="FILE", help="For detectors: all boxes, as COCO JSON.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "srt", "vtt"]),
    help="For transcripts: srt or vtt subtitles; recordings longer than 30 s are cut in their pauses.",
)
@click.option("--out", type=click.Path(), metavar="FOLDER", help="A subtitle file for each recording goes there.")
@click.option("--jsonl", is_flag=True, help="JSON lines also on a terminal.")
def command(
    run: str,
    inputs: tuple[str, ...],
    texts: tuple[str, ...],
    pairs: tuple[str, ...],
    input_column: str | None,
    abstain: float | None,
    draw: str | None,
    coco: str | None,
    kind: str | None,
    out: str | None,
    jsonl: bool,
) -> None:
    """Predict with a finished RUN for files, folders, globs or tables (INPUTS).

    Writes one JSON object per input on a pipe, a table on a terminal. An input that cannot be used gives an error row,
    the rest go on, and the exit code is 1. Inputs of class tasks that lie further from the training data than all but
    1% of the development rows are flagged (ood).
    """
    from headstart.predictor import load
    from headstart.types import PAIR

    predictor = load(run)
    boxes = BoxFiles(predictor.task, predictor.classes_, draw, coco)  # refused before any work where there are none
    if abstain is not None:
        predictor.threshold(abstain)  # what cannot be promised is refused before any work
    if pairs and len(pairs) != len(texts):
        raise click.UsageError(f"{len(texts)} --text and {len(pairs)} --pair: give one of each for every pair.")
    texts = tuple(PAIR.join(both) for both in zip(texts, pairs)) if pairs else texts
    values = gather(inputs, texts, predictor.modality, input_column or predictor.result["data"]["columns"].get("input"))
    subtitles = Subtitles(predictor.task, kind, out, len(values)) if kind in ("srt", "vtt") else None
    plain = jsonl or kind == "jsonl" or not sys.stdout.isatty()
    counts: Counter[str] = Counter()
    for prediction in predictor.stream(values, abstain):
        row = prediction.to_json()
        undecided = prediction.candidates is not None and prediction.label is None
        boxes.add(prediction)
        counts.update(faults=prediction.error is not None, ood=bool(prediction.ood), undecided=undecided)
        if subtitles is not None:
            subtitles.add(prediction)
            continue
        click.echo(json.dumps(row, ensure_ascii=False) if plain else _line(row))
    boxes.finish()
    _say_counts(counts, len(values), abstain)
    if counts["faults"]:
        sys.exit(1)


def _say_counts(counts: Counter[str], total: int, abstain: float | None) -> None:
    """What to know of all rows together, on stderr."""
    from headstart.metrics.conformal import promise

    if abstain is not None:
        click.echo(f"{counts['undecided']} of {total} inputs left undecided. {promise(abstain)}", err=True)
    if counts["ood"]:
        click.echo(
            f"{counts['ood']} of {total} inputs are unlike the development rows (ood): do not trust their answers.",
            err=True,
        )
    if counts["faults"]:
        click.echo(f"{counts['faults']} of {total} inputs could not be used.", err=True)


def _line(row: dict[str, object]) -> str:
    shown = str(row["input"])[-60:].replace("\n", " ")
    if "error" in row:
        return f"{shown:60}  error: {row['error']}"
    if "boxes" in row:
        return f"{shown:60}  {_boxes(row['boxes'])}"
    if "text" in row:
        return f"{shown:60}  {row['text']}"
    mark = "  ood" if row.get("ood") else ""
    candidates = row.get("candidates")
    if isinstance(candidates, list) and row["label"] is None:
        return f"{shown:60}  undecided: {', '.join(candidates)}{mark}"
    return f"{shown:60}  {row['label']}  {row['probability']:.3f}{mark}"


def _boxes(found: object) -> str:
    """How many objects of each class count."""
    assert isinstance(found, list), "a row of boxes"
    names = Counter(box.label for box in map(Found.of_json, found) if box.counts)
    return ", ".join(f"{n} {name}" for name, n in names.most_common()) or "nothing"


def gather(inputs: tuple[str, ...], texts: tuple[str, ...], modality: str, column: str | None) -> list[str]:
    """Expand folders, globs and tables into input values.

    Raises DataError where there is nothing to predict.
    """
    from headstart.data import folders
    from headstart.data.modality import MODALITIES
    from headstart.data.table import TABLE_SUFFIXES, read_table
    from headstart.data.text_columns import like_trained
    from headstart.errors import DataError

    values = list(texts)
    for given in inputs:
        path = Path(given).expanduser()
        if path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
            table = like_trained(read_table(path), column)
            name = column if column in table.columns else None
            name = name or next((c for c in (*folders_path_names(), "text") if c in table.columns), None)
            if name is None:
                raise DataError(
                    f"{path.name} has no column {column!r}; its columns are {', '.join(table.columns)}. "
                    "Name one with --input-column."
                )
            is_file = bool(MODALITIES[modality].suffixes)
            values += [_located(table.base, r.values[name]) if is_file else r.values[name] for r in table.rows]
        elif path.is_dir():
            values += sorted(
                str(p)
                for p in path.rglob("*")
                if p.suffix.lower() in folders.MEDIA_SUFFIXES and not p.name.startswith(".")
            )
        elif modality == "text":
            values.append(given)
        else:
            values += sorted(glob.glob(given)) or [given]  # noqa: PTH207
    if not values:
        raise DataError("Nothing to predict: give files, folders, a table, or --text.")
    return values


def _located(base: Path, value: str) -> str:
    """A file name of a table, from the table's folder; web addresses as they are."""
    return value if "://" in value else str(base / value)


def folders_path_names() -> tuple[str, ...]:
    """Column names that hold file paths."""
    from headstart.data.columns import PATH_NAMES

    return PATH_NAMES
