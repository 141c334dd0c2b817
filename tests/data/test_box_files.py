"""Annotated pictures in every form that is read: what is found, what is mended, what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstart.data import folders
from headstart.data.box_files import COLUMNS
from headstart.data.boxes import boxes_of, usable, within
from headstart.data.check import check
from headstart.data.columns import infer
from headstart.errors import DataError
from headstart.types import Dataset, Silent

SIZE = (100, 80)


def picture(file: Path, shade: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    made = Image.new("RGB", SIZE, (shade, 90, 200))
    made.paste((255 - shade, 10, shade), (10 + shade % 40, 20, 50, 60))
    made.save(file)
    return file


def read(path: Path) -> Dataset:
    table = folders.read(path)
    return check(table, infer(table), "object-detection", path, Silent())


def corners(dataset: Dataset) -> list[list[tuple[str, tuple[float, ...]]]]:
    return [[(b.label, b.corners) for b in boxes_of(e.target)] for e in dataset.examples]


def coco(folder: Path, annotations: list[dict[str, Any]], files: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    for n, name in enumerate(files):
        picture(folder / "images" / name, 40 * n)
    images = [{"id": 7 * n + 3, "file_name": name} for n, name in enumerate(files)]
    categories = [{"id": 5, "name": "cat"}, {"id": 90, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def test_coco_with_sparse_ids_crowds_and_pictures_without_objects(tmp_path: Path) -> None:
    boxes = [
        {"image_id": 3, "category_id": 5, "bbox": [10, 20, 30, 40]},
        {"image_id": 3, "category_id": 90, "bbox": [5, 5, 20, 10], "iscrowd": 1},
        {"image_id": 3, "category_id": 5, "bbox": [50, 20, 30, 40]},
        {"image_id": 999, "category_id": 5, "bbox": [0, 0, 9, 9]},
        {"image_id": 3, "category_id": 6, "bbox": [0, 0, 9, 9]},
        {"image_id": 3, "category_id": 5, "bbox": []},
    ]
    found = read(coco(tmp_path, boxes))
    assert found.classes == ("cat",)  # the only dog is a crowd
    assert corners(found) == [[("cat", (10, 20, 40, 60)), ("cat", (50, 20, 80, 60))], []]
    told = " ".join(found.notes)
    assert "1 annotations of an image that is not listed" in told
    assert "1 annotations of a category that is not listed" in told
    assert "1 annotations without a box" in told
    assert "2 objects in 2 images, none in 1 of them" in told


def test_coco_files_named_after_splits(tmp_path: Path) -> None:
    for split, n in (("train", 0), ("test", 1)):
        picture(tmp_path / split / f"{split}.png", 40 * n)
        content = {
            "images": [{"id": 1, "file_name": f"{split}.png"}],
            "categories": [{"id": 1, "name": "x"}],
            "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20]}] * 1
            + [{"image_id": 1, "category_id": 1, "bbox": [30, 30, 20, 20]}],
        }
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    assert {(e.id, e.split) for e in read(tmp_path).examples} == {("train.png", "train"), ("test.png", "test")}


@pytest.mark.parametrize("names", ["data.yaml", "block.yaml", "classes.txt", None])
def test_yolo_trees(tmp_path: Path, names: str | None) -> None:
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "one.png", 10 if split == "val" else 60)
        label = tmp_path / "labels" / split / "one.txt"
        label.parent.mkdir(parents=True)
        label.write_text("1 0.5 0.5 0.2 0.5\n0 0.25 0.25 0.1 0.1\n")
    picture(tmp_path / "images" / "train" / "empty.png", 90)
    (tmp_path / "labels" / "train" / "lost.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    if names == "data.yaml":
        (tmp_path / names).write_text("train: images/train\nnames: ['cat', \"dog\"]\n")
    elif names == "block.yaml":
        (tmp_path / names).write_text("names:\n  0: cat\n  1: dog\nnc: 2\n")
    elif names:
        (tmp_path / names).write_text("cat\ndog\n")
    found = read(tmp_path)
    cat, dog = ("cat", "dog") if names else ("class 0", "class 1")
    by_id = {e.id: boxes_of(e.target) for e in found.examples}
    assert [(b.label, b.corners) for b in by_id["images/train/one.png"]] == [
        (dog, (40, 20, 60, 60)), (cat, (20, 16, 30, 24))]  # fmt: skip
    assert by_id["images/train/empty.png"] == ()
    assert any("1 label files without their image" in note for note in found.notes)
    assert any("called by their numbers" in note for note in found.notes) == (names is None)


def test_pascal_voc_with_lists_of_splits(tmp_path: Path) -> None:
    for n, name in enumerate(("a", "b")):
        picture(tmp_path / "JPEGImages" / f"{name}.png", 40 * n)
        objects = "".join(
            f"<object><name>tree</name><difficult>{d}</difficult><bndbox><xmin>{x}</xmin><ymin>10</ymin><xmax>{x + 20}"
            "</xmax><ymax>40</ymax></bndbox></object>" for x, d in ((10, 0), (40, 1))
        )  # fmt: skip
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename>{objects}</annotation>"
        )
    picture(tmp_path / "JPEGImages" / "plain.png", 99)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("b\n")
    found = read(tmp_path)
    assert [(e.id, e.split) for e in found.examples] == [("a.png", "train"), ("b.png", "test")]
    assert [b.crowd for b in boxes_of(found.examples[0].target)] == [False, True]
    assert any("1 images without an annotation file" in note for note in found.notes)


def test_annotations_made_on_pictures_of_another_size_are_told(tmp_path: Path) -> None:
    boxes = [{"image_id": 3, "category_id": 5, "bbox": [x, 20, 10, 40]} for x in (10, 40)]
    folder = coco(tmp_path, boxes)
    content = json.loads((folder / "annotations.json").read_text())
    content["images"][0] |= {"width": 200, "height": 160}
    content["images"][1] |= {"width": 100, "height": 80}
    (folder / "annotations.json").write_text(json.dumps(content))
    assert any("1 images are not of the size" in note and "100x80, not 200x160" in note for note in read(folder).notes)


def test_a_table_with_a_box_in_each_row(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", 50)
    (tmp_path / "boxes.csv").write_text(
        "image_path,xmin,ymin,xmax,ymax,label\na.png,1,2,30,40,Tree\na.png,oops,2,30,40,Tree\na.png,5,2,30,40,Tree\n"
        "b.png,,,,,\n"
    )
    found = read(tmp_path / "boxes.csv")
    assert corners(found) == [[("Tree", (1, 2, 30, 40)), ("Tree", (5, 2, 30, 40))], []]
    assert any("1 rows of boxes whose corners are not numbers" in note for note in found.notes)


@pytest.mark.parametrize("form", ["columns", "list"])
def test_hugging_face_objects(tmp_path: Path, form: str) -> None:
    picture(tmp_path / "a.png")
    boxes = [[1.0, 2.0, 10.0, 20.0], [30.0, 2.0, 10.0, 20.0]]
    held: Any = {"bbox": boxes, "categories": ["x", "x"]}
    if form == "list":
        held = [{"bbox": box, "category": "x"} for box in boxes]
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "objects": held}) + "\n")
    assert corners(read(tmp_path)) == [[("x", (1, 2, 11, 22)), ("x", (30, 2, 40, 22))]]


def test_missing_and_damaged_pictures_are_quarantined_with_their_boxes(tmp_path: Path) -> None:
    both = [{"image_id": i, "category_id": 5, "bbox": [x, 20, 10, 40]} for i in (3, 10) for x in (10, 40)]
    folder = coco(tmp_path, both)
    (folder / "images" / "b.png").write_bytes(b"no picture")
    found = read(folder)
    assert [e.id for e in found.examples] == ["a.png"]
    assert [r.reason for r in found.rejected] == ["not a readable image"]


def test_data_without_usable_boxes_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class has two"):
        read(coco(tmp_path, [{"image_id": 3, "category_id": 5, "bbox": [1, 1, 9, 9]}]))


def test_boxes_where_another_task_was_named(tmp_path: Path) -> None:
    table = folders.read(coco(tmp_path, []))
    assert table.columns == COLUMNS
    with pytest.raises(DataError, match="object-detection"):
        infer(table, wanted=("image", "class"))


@pytest.mark.parametrize(
    ("box", "kept", "told"),
    [
        ([30, 40, 10, 20], (10, 20, 30, 40), "swapped corners"),
        ([-20, 10, 30, 40], (0, 10, 30, 40), "over the edge"),
        ([120, 10, 150, 40], None, "outside of their image"),
        ([10, 10, 10, 40], None, "without an area"),
        ([float("nan"), 10, 20, 40], None, "not numbers"),
        ([-0.4, 10, 100.4, 40], (0, 10, 100, 40), ""),  # rounding is no fault
    ],
)
def test_what_is_wrong_with_a_box_is_mended_only_where_it_is_certain(
    box: list[float], kept: tuple[float, ...] | None, told: str
) -> None:
    found, faults = usable(json.dumps([{"label": "x", "box": box}]), SIZE)
    assert [b.corners for b in found] == ([kept] if kept else [])
    assert told in " ".join(faults)
    assert bool(faults) == bool(told)


def test_a_box_given_twice_counts_once() -> None:
    cell = json.dumps([{"label": "x", "box": [1, 1, 9, 9]}] * 2 + [{"label": "y", "box": [1, 1, 9, 9]}])
    found, faults = usable(cell, SIZE)
    assert [b.label for b in found] == ["x", "y"]
    assert faults == {"boxes given twice: counted once": 1}


def test_a_part_asks_only_for_objects_that_it_shows() -> None:
    cell = json.dumps([{"label": "x", "box": box} for box in ([0, 0, 20, 20], [38, 0, 58, 20], [90, 0, 99, 9])])
    found = within(usable(cell, SIZE)[0], (10, 0, 30, 40), 0.4)
    assert [(b.corners, b.crowd) for b in found] == [((0, 0, 10, 20), False), ((28, 0, 30, 20), True)]
