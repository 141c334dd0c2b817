"""`--exclude` leaves out the rows a file names, and says clearly when it cannot."""

import csv

import pytest

from headstart.data.check import check
from headstart.data.columns import infer
from headstart.data.exclude import without_excluded
from headstart.data.table import read_table
from headstart.errors import DataError
from headstart.types import Silent


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "data.csv"
    rows = [(f"text number {i}", "ab"[i % 2], ("old", "new")[i % 3 == 0], f"name {i}") for i in range(16)]
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label", "camera", "name"), *rows])
    return read_table(file)


def exclude(table, folder, text):
    (folder / "out.csv").write_text(text)
    return without_excluded(table, infer(table), folder / "out.csv")


@pytest.mark.parametrize("header", ["input,reason", "id,reason"])
def test_named_rows_go_and_are_counted(table, tmp_path, header):
    left, gone = exclude(table, tmp_path, f"{header}\nrow 2,x\nrow 5,y\nrow 2,x\n")
    assert gone == 2 and [r.id for r in left.rows] == [f"row {i}" for i in range(1, 17) if i not in (2, 5)]
    assert "2 rows left out because out.csv names them" in left.notes


def test_a_file_may_be_named_as_the_table_names_it(tmp_path):
    with (tmp_path / "data.csv").open("w") as stream:
        stream.write("file_name,label\n" + "".join(f"images/{i}.png,{'ab'[i % 2]}\n" for i in range(9)))
        stream.write("images/3.png,b\n")  # twice: then only the id tells which
    table = read_table(tmp_path / "data.csv")
    left, gone = exclude(table, tmp_path, "input\nimages/0.png\nrow 2\n5.png (row 6)\n")
    assert gone == 3 and [r.id for r in left.rows] == [f"row {i}" for i in (3, 4, 5, 7, 8, 9, 10)]
    with pytest.raises(DataError, match=r"belong to no row .*images/3\.png"):
        exclude(table, tmp_path, "input\nimages/3.png\n")


@pytest.mark.parametrize(("text", "message"), [
    ("input\nrow 2\nrow 99\n", r"1 of 2 ids .* belong to no row .*row 99"),
    ("name\nrow 2\n", "columns name, but none named input or id"),
    ("input\n" + "".join(f"row {i}\n" for i in range(1, 17)), "names all 16 rows"),
])  # fmt: skip
def test_what_cannot_be_done_is_said(table, tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        exclude(table, tmp_path, text)


def test_a_missing_file_is_said(table, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        without_excluded(table, infer(table), tmp_path / "none.csv")


def test_columns_of_few_values_are_kept_beside_the_examples(table, tmp_path):
    dataset = check(table, infer(table), "text-classification", tmp_path, Silent())
    assert list(dataset.side) == ["camera"]
    assert dataset.side["camera"][:4] == ("new", "old", "old", "new")
