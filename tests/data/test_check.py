"""From rows to a checked data set: what is quarantined, what is noted, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import picture, write_pictures

from headstart.data import columns, folders
from headstart.data.check import check
from headstart.errors import DataError
from headstart.types import Dataset, Silent


def texts(tmp_path: Path, rows: list[tuple[str, str]] | str, known: tuple[str, ...] = (), **names: str) -> Dataset:
    file = tmp_path / "data.csv"
    file.write_text(rows if isinstance(rows, str) else "text,label\n" + "".join(f'"{t}",{c}\n' for t, c in rows))
    table = folders.read(file)
    return check(table, columns.infer(table, **names), "text-classification", file, Silent(), known)


GOOD = [(f"text {i}", "ab"[i % 2]) for i in range(10)]


def test_usable_rows_become_examples_with_sorted_classes(tmp_path):
    data = texts(tmp_path, [("Hello", "z "), ("you", "a"), ("there", "z"), ("all", " a")])
    assert data.classes == ("a", "z")
    first = data.examples[0]
    assert (first.id, first.input, first.target, first.split) == ("row 1", "Hello", "z", None)
    assert data.columns == {"input": "text", "target": "label"}
    assert "2 classes have fewer than 5 examples: a, z" in data.notes


def test_missing_inputs_and_targets_and_ragged_rows_are_quarantined_with_reasons(tmp_path):
    lines = ["text,label", *(f"{t},{c}" for t, c in GOOD), ",a", "no label,", "too, many, cells,b", "short"]
    data = texts(tmp_path, "\n".join(lines))
    assert len(data.examples) == 10
    assert [(r.id, r.reason) for r in data.rejected] == [
        ("row 11", "input missing"), ("row 12", "target missing"), ("row 13", "row has too many cells"),
        ("row 14", "target missing"),
    ]  # fmt: skip


def test_nothing_usable_says_why_with_counts_and_the_first(tmp_path):
    with pytest.raises(DataError, match=r"None of the 3 rows.*2 × target missing; 1 × input missing.*First: row 1:"):
        texts(tmp_path, "text,label\na,\nb,\n,x\n")


def test_one_class_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"All 2 usable rows have the label 'x'.*needs two"):
        texts(tmp_path, [("a", "x"), ("b", "x")])


def test_a_class_of_one_example_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"1 of 3 classes have a single example: 'rare'.*merge"):
        texts(tmp_path, [*GOOD, ("once", "rare")])


@pytest.mark.parametrize("targets", [[f"{i * 0.37:.2f}" for i in range(12)], [f"title {i}" for i in range(30)]])
def test_a_number_or_free_text_as_target_says_what_to_do(tmp_path, targets):
    rows = [(f"text {i}", t) for i, t in enumerate([*targets, targets[0]])]
    with pytest.raises(DataError, match=r"occur only once.*number or a free text.*--target-column, or sort"):
        texts(tmp_path, rows)


def test_many_repeated_numbers_are_noted(tmp_path):
    data = texts(tmp_path, [(f"text {i}", str(i % 25)) for i in range(100)])
    assert "column 'label' holds 25 different numbers, each taken as a class of its own" in data.notes


def test_the_same_input_with_two_labels_is_noted(tmp_path):
    assert "1 inputs occur more than once with different labels; check them" in texts(
        tmp_path, [*GOOD, ("text 0", "b")]).notes  # fmt: skip


def test_classes_a_trained_model_does_not_know_are_quarantined(tmp_path):
    data = texts(tmp_path, [("one", "a"), ("two", "zebra")], known=("a", "b"))
    assert data.classes == ("a", "b")
    assert [(r.reason, r.detail) for r in data.rejected] == [
        ("unknown class", "'zebra' is not among the model's classes")]  # fmt: skip


def test_a_test_set_of_which_nothing_is_usable_is_no_reason_to_split_quietly(tmp_path):
    write_pictures(tmp_path / "train", {"cat": 3, "dog": 3})
    write_pictures(tmp_path / "test", {"cat": 0, "dog": 0})
    for name in ("cat", "dog"):
        (tmp_path / "test" / name / "a.png").write_bytes(b"broken")
    table = folders.read(tmp_path)
    with pytest.raises(DataError, match="None of the 2 test rows can be used: 2 × not a readable image"):
        check(table, columns.infer(table), "image-classification", tmp_path, Silent())


def test_bad_pictures_are_quarantined_by_name_and_the_rest_go_on(tmp_path):
    write_pictures(tmp_path, {"cat": 3, "dog": 3})
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"")
    table = folders.read(tmp_path)
    data = check(table, columns.infer(table), "image-classification", tmp_path, Silent())
    assert len(data.examples) == 6
    assert [(r.id, r.reason) for r in data.rejected] == [("cat/broken.jpg", "empty file")]
    assert all(Path(e.input).is_absolute() for e in data.examples)


def test_near_duplicate_pictures_share_a_group_and_are_said(tmp_path):
    write_pictures(tmp_path, {"cat": 3, "dog": 3})
    picture(77).save(tmp_path / "cat" / "x.png")
    picture(77).save(tmp_path / "dog" / "y.jpg", quality=75)
    table = folders.read(tmp_path)
    data = check(table, columns.infer(table), "image-classification", tmp_path, Silent())
    group = {e.id: e.group for e in data.examples}
    assert group["cat/x.png"] == group["dog/y.jpg"]
    assert len(set(group.values())) == 7
    assert "2 near-duplicate images (re-encoded or resized copies) are kept together" in data.notes


def test_the_fingerprint_depends_on_content_not_on_order(tmp_path):
    one = texts(tmp_path, [(t, c) for t, c in GOOD])
    assert texts(tmp_path, GOOD).fingerprint == one.fingerprint
    assert texts(tmp_path, [*GOOD[:-1], ("changed", "b")]).fingerprint != one.fingerprint
    assert texts(tmp_path, [*GOOD[:-1], (GOOD[-1][0], "a")]).fingerprint != one.fingerprint
