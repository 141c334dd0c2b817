"""Find annotated pictures: COCO JSON, YOLO label files, Pascal VOC XML, tables of boxes, Hugging Face `objects`.

All become one table with the columns "file", "boxes" and "size"; a cell of boxes is what `boxes.usable` reads, size is
"WIDTHxHEIGHT" where the annotation says how large the picture is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from headstart.data import image
from headstart.data.table import RawTable, Row
from headstart.errors import DataError

COLUMNS = ("file", "boxes", "size")
LAYOUT = "boxes"
CORNER_NAMES = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
FILE_NAMES = ("image_path", "file_name", "filename", "image", "path", "file", "img")
LABEL_NAMES = ("label", "class", "category", "name", "labels")
YOLO_LINE = re.compile(r"^\d+( -?[\d.eE+-]+){4}( -?[\d.eE+-]+)?$")
IMAGE_FOLDERS = ("images", "JPEGImages", "imgs", "img")
SPLITS = {"train": "train", "training": "train", "val": "train", "valid": "train", "validation": "train",
          "dev": "train", "test": "test"}  # fmt: skip


def find(root: Path) -> RawTable | None:
    """The annotated pictures of a folder or file, None where there are none of these forms.

    Raises DataError where annotations cannot be read.
    """
    if root.is_file():
        return _coco([root], root.parent) if root.suffix.lower() == ".json" and _is_coco(root) else None
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and not _hidden(p, root)]
    if coco := [p for p in files if p.suffix.lower() == ".json" and _is_coco(p)]:
        return _coco(coco, root)
    if voc := [p for p in files if p.suffix.lower() == ".xml" and _is_voc(p)]:
        return _voc(voc, files, root)
    yolo = [p for p in files if p.suffix.lower() == ".txt" and _is_yolo(p)]
    return _yolo(yolo, files, root) if yolo else None


def from_table(table: RawTable) -> RawTable | None:
    """A table with one box in each row, or with a column `objects`, as one with a row for each picture."""
    lowered = {c.lower(): c for c in table.columns}
    if "objects" in lowered:
        return _objects(table, lowered)
    corners = next((names for names in CORNER_NAMES if set(names) <= set(lowered)), None)
    file = next((lowered[n] for n in FILE_NAMES if n in lowered), None)
    label = next((lowered[n] for n in LABEL_NAMES if n in lowered), None)
    if corners is None or file is None:
        return None
    if label is None:
        raise DataError(f"The table has boxes ({', '.join(corners)}) but no column with their class. Name it label.")
    boxes: dict[str, list[Any]] = {}
    splits: dict[str, str | None] = {}
    notes = list(table.notes)
    unreadable = 0
    for row in table.rows:
        name = row.values[file]
        found = boxes.setdefault(name, [])
        splits.setdefault(name, row.split)
        cells = [row.values[lowered[n]].strip() for n in corners]
        if not any(cells):
            continue  # a picture without objects
        try:
            found.append({"label": row.values[label].strip(), "box": [float(c) for c in cells]})
        except ValueError:
            unreadable += 1
    if unreadable:
        notes.append(f"{unreadable} rows of boxes whose corners are not numbers: left out")
    rows = [Row(name, _cells(name, found), splits[name]) for name, found in boxes.items()]
    return RawTable(rows, table.base, LAYOUT, COLUMNS, notes)


def _cells(file: str, boxes: Iterable[Mapping[str, Any]], width: Any = None, height: Any = None) -> dict[str, str]:
    size = f"{width}x{height}" if width and height else ""
    return {"file": file, "boxes": json.dumps(list(boxes), ensure_ascii=False), "size": size}


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(root).parts)


def _split_of(path: Path, root: Path) -> str | None:
    """By the name of a folder above, or of the file itself (instances_train2017.json)."""
    parts = [*path.relative_to(root).parts[:-1], path.stem]
    for part in reversed(parts):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in SPLITS:
                return SPLITS[word]
    return None


def _is_coco(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            begin = stream.read(1 << 20)
        if b'"images"' not in begin and b'"annotations"' not in begin:
            return False
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"images", "annotations"} <= set(content)


def _coco(files: list[Path], root: Path) -> RawTable:
    rows: list[Row] = []
    faults: Counter[str] = Counter()
    for file in files:
        content = json.loads(file.read_bytes())
        names = {c["id"]: str(c["name"]) for c in content.get("categories", [])}
        boxes: dict[Any, list[Any]] = {i["id"]: [] for i in content["images"]}
        for found in content["annotations"]:
            corners = found.get("bbox")
            if found.get("image_id") not in boxes:
                faults["annotations of an image that is not listed: left out"] += 1
            elif found.get("category_id") not in names:
                faults["annotations of a category that is not listed: left out"] += 1
            elif not isinstance(corners, list) or len(corners) != 4:
                faults["annotations without a box: left out"] += 1
            else:
                x, y, width, height = corners
                boxes[found["image_id"]].append(
                    {"label": names[found["category_id"]], "box": [x, y, x + width, y + height],
                     "crowd": bool(found.get("iscrowd"))}
                )  # fmt: skip
        split = _split_of(file, root) if len(files) > 1 else None
        for listed in content["images"]:
            path = _located(str(listed["file_name"]), file, root)
            rows.append(
                Row(
                    str(listed["file_name"]),
                    _cells(path, boxes[listed["id"]], listed.get("width"), listed.get("height")),
                    split,
                )
            )
    return RawTable(rows, root, LAYOUT, COLUMNS, [f"{n} {why}" for why, n in faults.items()])


def _located(name: str, annotation: Path, root: Path) -> str:
    """Where a picture lies: beside its annotation, in a folder of images, or in one called like the split."""
    words = [annotation.stem.rpartition("_")[2]]  # train2017
    words += [word for word in re.split(r"[^a-z]+", annotation.stem.lower()) if word in SPLITS]
    bases = [annotation.parent, root, annotation.parent.parent]
    candidates = [b / name for b in bases]
    inner = (*IMAGE_FOLDERS, *words, *(f"images/{word}" for word in words))
    candidates += [b / folder / name for b in bases for folder in inner]
    return str(next((c for c in candidates if c.is_file()), candidates[0]))


def _is_voc(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            if b"<annotation" not in stream.read(1 << 12):
                return False
        return ElementTree.parse(file).getroot().tag == "annotation"
    except (ElementTree.ParseError, OSError):
        return False


def _voc(files: list[Path], all_files: list[Path], root: Path) -> RawTable:
    pictures = {p.name: p for p in all_files if p.suffix.lower() in image.SUFFIXES}
    by_stem = {p.stem: p for p in pictures.values()}
    lists = _voc_lists(all_files)
    rows: list[Row] = []
    faults: Counter[str] = Counter()
    annotated: set[Path] = set()
    for file in files:
        tree = ElementTree.parse(file).getroot()
        name = (tree.findtext("filename") or "").strip()
        picture = pictures.get(name) or by_stem.get(file.stem) or file.parent / (name or f"{file.stem}.jpg")
        annotated.add(picture)
        boxes: list[Any] = []
        for found in tree.iter("object"):
            corners = [found.findtext(f"bndbox/{c}") for c in ("xmin", "ymin", "xmax", "ymax")]
            label = (found.findtext("name") or "").strip()
            try:
                boxes.append({"label": label, "box": [float(c or "") for c in corners]})
            except ValueError:
                faults["objects without a readable box: left out"] += 1
                continue
            boxes[-1]["crowd"] = (found.findtext("difficult") or "0").strip() == "1"
            if not label:
                boxes.pop()
                faults["objects without a name: left out"] += 1
        split = lists.get(file.stem) or _split_of(picture, root) if _inside(picture, root) else None
        size = [tree.findtext(f"size/{side}") for side in ("width", "height")]
        rows.append(Row(picture.name, _cells(str(picture), boxes, *size), split))
    notes = [f"{n} {why}" for why, n in faults.items()]
    if left := [p for p in pictures.values() if p not in annotated]:
        notes.append(f"{len(left)} images without an annotation file: left out, such as {left[0].name}")
    return RawTable(rows, root, LAYOUT, COLUMNS, notes)


def _inside(path: Path, root: Path) -> bool:
    return path.is_relative_to(root)


def _voc_lists(files: list[Path]) -> dict[str, str]:
    """ImageSets/Main/train.txt and test.txt: a picture's stem -> its split."""
    found: dict[str, str] = {}
    for file in files:
        if file.parent.name == "Main" and file.stem.lower() in SPLITS:
            found |= dict.fromkeys(file.read_text(errors="replace").split(), SPLITS[file.stem.lower()])
    return found


def _is_yolo(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8") as stream:
            lines = [line.strip() for line in stream.read(1 << 16).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return False
    return bool(lines) and all(YOLO_LINE.match(" ".join(line.split())) for line in lines[:5])


def _yolo(files: list[Path], all_files: list[Path], root: Path) -> RawTable:
    names, told = _yolo_names(all_files)
    labels = set(files)
    rows: list[Row] = []
    faults: Counter[str] = Counter()
    for picture in (p for p in all_files if p.suffix.lower() in image.SUFFIXES):
        boxes: list[Any] = []
        own = next((p for p in _yolo_places(picture) if p in labels), None)
        labels.discard(own or picture)
        for line in own.read_text(encoding="utf-8").splitlines() if own else []:
            parts = line.split()
            if not parts:
                continue
            try:
                number, x, y, width, height = int(parts[0]), *map(float, parts[1:5])
            except ValueError:
                faults["lines that are not a class number and a box: left out"] += 1
                continue
            if names and number not in names:
                faults["boxes of a class number without a name: left out"] += 1
                continue
            corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
            boxes.append({"label": names.get(number, f"class {number}"), "box": corners, "relative": True})
        relative = str(picture.relative_to(root))
        rows.append(Row(relative, _cells(str(picture), boxes), _split_of(picture, root)))
    notes = [*told, *(f"{n} {why}" for why, n in faults.items())]
    notes += [f"{len(labels)} label files without their image: left out"] if labels else []
    return RawTable(rows, root, LAYOUT, COLUMNS, notes)


def _yolo_places(picture: Path) -> list[Path]:
    """Where the labels of a picture may lie: beside it, or in a folder "labels" where it lies in one of "images"."""
    beside = picture.with_suffix(".txt")
    parts = list(beside.parts)
    found = [beside]
    for n, part in enumerate(parts):
        if part.lower() in IMAGE_FOLDERS:
            found.append(Path(*parts[:n], "labels", *parts[n + 1 :]))
    return found


def _yolo_names(files: list[Path]) -> tuple[dict[int, str], list[str]]:
    """Class names from data.yaml, classes.txt or obj.names; empty where there are none."""
    for file in files:
        if file.name.lower() in ("classes.txt", "obj.names", "labels.txt"):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            return {n: line.strip() for n, line in enumerate(lines) if line.strip()}, []
    for file in files:
        if file.suffix.lower() in (".yaml", ".yml"):
            found = _yaml_names(file.read_text(encoding="utf-8", errors="replace"))
            if found:
                return found, []
    return {}, ["no data.yaml or classes.txt names the classes: they are called by their numbers"]


def _yaml_names(text: str) -> dict[int, str]:
    """`names: [cat, dog]`, or a block with one name in a line, `0: cat` or `- cat`."""
    if found := re.search(r"^names:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL):
        parts = [part.strip().strip("'\"") for part in found.group(1).split(",")]
        return {n: part for n, part in enumerate(parts) if part}
    block = re.search(r"^names:\s*\n((?:[ \t]*(?:-|\d+:).*\n?)+)", text, re.MULTILINE)
    names: dict[int, str] = {}
    for n, line in enumerate(block.group(1).splitlines() if block else []):
        number, _, name = line.strip().partition(" ")
        names[n if number == "-" else int(number.rstrip(":"))] = name.strip().strip("'\"")
    return names


def _objects(table: RawTable, lowered: Mapping[str, str]) -> RawTable:
    """Hugging Face's form: {"bbox": [[x, y, width, height], …], "categories": […]}, or a list of such objects."""
    file = next((lowered[n] for n in FILE_NAMES if n in lowered), None)
    if file is None:
        raise DataError(f"The table has objects but no column with file names; its columns are {table.columns}.")
    rows: list[Row] = []
    for row in table.rows:
        try:
            held = json.loads(row.values[lowered["objects"]] or "[]")
            boxes = list(_object_boxes(held))
        except (ValueError, KeyError, TypeError) as error:
            rows.append(
                Row(row.id, _cells(row.values[file], ()), row.split, f"objects cannot be read: {error!r}"[:200])
            )
            continue
        rows.append(Row(row.id, _cells(row.values[file], boxes), row.split, row.fault))
    return RawTable(rows, table.base, LAYOUT, COLUMNS, list(table.notes))


def _object_boxes(held: Any) -> Iterable[dict[str, Any]]:
    listed = held
    if isinstance(held, Mapping):
        labels = next(held[n] for n in ("categories", "category", "label", "labels") if n in held)
        listed = [{"bbox": box, "category": label} for box, label in zip(held["bbox"], labels, strict=True)]
    for found in listed:
        x, y, width, height = map(float, found["bbox"])
        label = next(found[n] for n in ("category", "categories", "label") if n in found)
        yield {"label": str(label), "box": [x, y, x + width, y + height]}
