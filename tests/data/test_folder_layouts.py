"""Folder layouts (data/folders.py): what is found, what is passed over with a note, what is refused with a fix."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from made import picture, write_pictures
from pyarrow import parquet

from headstart.data import columns, folders
from headstart.data.check import check
from headstart.errors import DataError
from headstart.types import Dataset, Silent


def labels(table) -> list[tuple[str, str, str | None]]:
    return [(row.id, row.values["label"], row.split) for row in table.rows]


def checked(path: Path) -> Dataset:
    table = folders.read(path)
    return check(table, columns.infer(table), "image-classification", path, Silent())


def test_a_folder_per_class(tmp_path):
    table = folders.read(write_pictures(tmp_path, {"cat": 1, "dog": 2}))
    assert labels(table) == [("cat/0.png", "cat", None), ("dog/0.png", "dog", None), ("dog/1.png", "dog", None)]
    assert table.notes == []


def test_nested_files_belong_to_the_top_folder(tmp_path):
    write_pictures(tmp_path / "cat", {"2024/may": 1})
    write_pictures(tmp_path, {"dog": 1})
    assert labels(folders.read(tmp_path))[0] == ("cat/2024/may/0.png", "cat", None)


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    write_pictures(tmp_path, {"cat": 1, "dog": 1, ".cache": 1, "__MACOSX": 1, "dog/.thumbnails": 1})
    (tmp_path / "cat" / "._0.png").write_bytes(b"apple double")
    (tmp_path / ".metadata.csv").write_text("x")
    assert [row.id for row in folders.read(tmp_path).rows] == ["cat/0.png", "dog/0.png"]


def test_stray_files_and_empty_classes_are_noted(tmp_path):
    write_pictures(tmp_path, {"cat": 1, "dog": 1, "newt": 0})
    (tmp_path / "README.txt").write_text("about")
    picture(1).save(tmp_path / "cover.jpg")
    (tmp_path / "dog" / "notes.txt").write_text("good dog")
    table = folders.read(tmp_path)
    assert len(table.rows) == 2
    assert table.notes == [
        "1 files outside class folders ignored (such as cover.jpg)",
        "empty class folders ignored: newt",
        "1 files that are neither images nor recordings ignored (such as dog/notes.txt)",
    ]


def test_train_validation_and_test_folders(tmp_path):
    for name in ("train", "Val", "test"):
        write_pictures(tmp_path / name, {"cat": 1, "dog": 1})
    write_pictures(tmp_path, {"extra": 1})
    table = folders.read(tmp_path)
    assert {row.id: row.split for row in table.rows} == {
        "Val/cat/0.png": "train", "Val/dog/0.png": "train", "test/cat/0.png": "test", "test/dog/0.png": "test",
        "train/cat/0.png": "train", "train/dog/0.png": "train",
    }  # fmt: skip
    assert "the validation rows are used as development data, together with train" in table.notes
    assert "folders beside train ignored: extra" in table.notes


def test_a_class_may_be_called_train(tmp_path):
    table = folders.read(write_pictures(tmp_path, {"bus": 1, "train": 1}))
    assert [label for _, label, _ in labels(table)] == ["bus", "train"]
    assert {row.split for row in table.rows} == {None}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_hugging_face_metadata(tmp_path, ending):
    write_pictures(tmp_path, {"images": 2})
    rows = [{"file_name": "images/0.png", "label": "cat"}, {"file_name": "images/1.png", "label": "dog"}]
    write_metadata(tmp_path / f"metadata.{ending}", rows)
    table = folders.read(tmp_path)
    assert table.columns == ("file_name", "label")
    assert (table.base / table.rows[1].values["file_name"]).is_file()


def write_metadata(file: Path, rows: list[dict[str, str]]) -> None:
    if file.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(r) for r in rows))
    else:
        lines = [list(rows[0]), *(r.values() for r in rows)]
        file.write_text("\n".join(",".join(cells) for cells in lines) + "\n")


@pytest.mark.parametrize("column", ["file_name", "image_path", "photo"])
def test_metadata_in_split_folders_finds_its_own_files_whatever_the_column(tmp_path, column):
    for split in ("train", "test"):
        write_pictures(tmp_path / split, {"files": 4})
        rows = [{column: f"files/{i}.png", "label": "ab"[i % 2]} for i in range(4)]
        write_metadata(tmp_path / split / "metadata.csv", rows)
    data = checked(tmp_path)
    assert len(data.examples) == 8
    assert not data.rejected
    assert {e.id: e.split for e in data.examples}["0.png (test/row 1)"] == "test"


def test_a_test_folder_without_labels_does_not_break_the_columns(tmp_path):
    for split, extra in (("train", True), ("test", False)):
        write_pictures(tmp_path / split, {"files": 4})
        rows = [{"file_name": f"files/{i}.png"} | ({"label": "ab"[i % 2]} if extra else {}) for i in range(4)]
        write_metadata(tmp_path / split / "metadata.csv", rows)
    with pytest.raises(DataError, match="None of the 4 test rows can be used: 4 × target missing"):
        checked(tmp_path)


def test_metadata_may_point_outside_and_missing_files_are_quarantined(tmp_path):
    write_pictures(tmp_path / "elsewhere", {"x": 4})
    root = tmp_path / "root"
    root.mkdir()
    names = ["../elsewhere/x/0.png", "../elsewhere/x/1.png", "../elsewhere/x/2.png", "../elsewhere/x/3.png",
             "gone.png", "../../../etc/gone.png", "n" * 300 + ".png", "https://example.org/a.png"]  # fmt: skip
    rows = [{"file_name": name, "label": "ab"[i % 2]} for i, name in enumerate(names)]
    write_metadata(root / "metadata.jsonl", rows)
    data = checked(root)
    assert len(data.examples) == 4
    assert [r.reason for r in data.rejected] == ["file not found"] * 3 + ["web address, not a file"]


def test_two_metadata_files_are_ambiguous(tmp_path):
    for ending in ("csv", "jsonl"):
        write_metadata(tmp_path / f"metadata.{ending}", [{"file_name": "a.png", "label": "x"}])
    with pytest.raises(DataError, match=r"2 metadata files \(metadata.csv, metadata.jsonl\). Keep one"):
        folders.read(tmp_path)


def test_a_single_table_beside_the_files_is_the_table(tmp_path):
    write_pictures(tmp_path, {"images": 1})
    write_metadata(tmp_path / "labels.csv", [{"path": "images/0.png", "label": "cat"}])
    assert folders.read(tmp_path).columns == ("path", "label")


def test_a_table_of_files_wins_over_folders_and_a_stray_table_loses_to_class_folders(tmp_path):
    write_pictures(tmp_path, {"part1": 1, "part2": 1})
    write_metadata(tmp_path / "labels.csv", [{"path": "part1/0.png", "label": "cat"}])
    assert folders.read(tmp_path).columns == ("path", "label")
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "classes.json").write_text('{"0": "part1", "1": "part2"}')
    table = folders.read(tmp_path)
    assert len(table.rows) == 2
    assert table.notes == ["classes.json ignored: the class folders give the labels"]


def test_train_and_test_tables_in_one_folder(tmp_path):
    for name in ("train", "validation", "test"):
        write_metadata(tmp_path / f"{name}.csv", [{"text": name, "label": "x"}])
    table = folders.read(tmp_path)
    assert [(row.id, row.split) for row in table.rows] == [
        ("test.csv row 1", "test"), ("train.csv row 1", "train"), ("validation.csv row 1", "train")]  # fmt: skip


def test_several_tables_of_other_names_are_refused(tmp_path):
    for name in ("january", "february"):
        write_metadata(tmp_path / f"{name}.csv", [{"text": name, "label": "x"}])
    with pytest.raises(DataError, match=r"several tables \(february.csv, january.csv\).*Name the one"):
        folders.read(tmp_path)


@pytest.mark.parametrize("found", ["nothing", "a.txt"])
def test_a_folder_with_nothing_in_it_says_how_to_lay_it_out(tmp_path, found):
    if found != "nothing":
        (tmp_path / found).write_text("x")
    with pytest.raises(DataError, match=rf"found: {found}.*<class>"):
        folders.read(tmp_path)


def test_a_missing_path_names_the_nearest(tmp_path):
    write_pictures(tmp_path / "flowers", {"rose": 1})
    with pytest.raises(DataError, match=r"flower does not exist\. Did you mean .*flowers\?"):
        folders.read(tmp_path / "flower")
    with pytest.raises(DataError, match="does not exist"):
        folders.read(tmp_path / "no" / "such")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_an_impossible_path_is_no_traceback(tmp_path, name):
    with pytest.raises(DataError, match=r"cannot be read|does not exist"):
        folders.read(tmp_path / name)


def test_a_single_picture_is_not_a_table(tmp_path):
    picture(1).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a.jpg is not a table: .jpg.*folder"):
        folders.read(tmp_path / "a.jpg")
