"""Solar cells: labels from probabilities, an image folder from the wheel."""

import csv
import io
import zipfile

import pytest
from PIL import Image

from headstart.demo_data import elpv
from headstart.errors import DataError
from headstart.types import Silent

LABELS = (
    "images/cell0001.png  1.0                 mono\n"
    "images/cell0002.png  0.3333333333333333  poly\n"
    "\n"
    "images/cell0003.png  0.6666666666666666  mono\n"
    "images/cell0004.png  0.0                 poly\n"
)


def write_wheel(path, labels=LABELS, images=("cell0001", "cell0002", "cell0003", "cell0004")):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("elpv_dataset/data/labels.csv", labels)
        for shade, name in enumerate(images):
            png = io.BytesIO()
            Image.new("L", (4, 4), shade).save(png, "PNG")
            archive.writestr(f"elpv_dataset/data/images/{name}.png", png.getvalue())
    return path


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_half_and_above_is_defective():
    labels = [elpv.Cell("a.png", probability, "mono").label for probability in ("0.0", "0.4999", "0.5", "1.0")]
    assert labels == ["functional", "functional", "defective", "defective"]


def test_parse_labels():
    cells = elpv.parse_labels(LABELS)
    assert len(cells) == 4
    assert cells[1] == elpv.Cell("images/cell0002.png", "0.3333333333333333", "poly")


@pytest.mark.parametrize("line", ["images/a.png 1.0", "images/a.png high mono", "images/a.png 1.5 mono"])
def test_bad_label_line_is_named(line):
    with pytest.raises(DataError, match="line 2"):
        elpv.parse_labels(f"images/cell0001.png 1.0 mono\n{line}\n")


def test_prepare_lays_out_an_image_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        elpv, "download_wheel", lambda package, version, sha256, folder: write_wheel(folder / "elpv.whl")
    )
    folder = elpv.prepare(tmp_path, Silent())
    assert folder == tmp_path / "elpv"
    rows = read(folder / "metadata.csv")
    assert rows[1] == {
        "file_name": "images/cell0002.png",
        "label": "functional",
        "cell_type": "poly",
        "defect_probability": "0.3333333333333333",
    }
    with Image.open(folder / rows[2]["file_name"]) as image:
        assert image.getpixel((0, 0)) == 2
    assert "CC BY-NC-SA 4.0" in (folder / "LICENCE.txt").read_text()


def test_image_missing_from_the_wheel_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        elpv, "download_wheel", lambda package, version, sha256, folder: write_wheel(folder / "elpv.whl", images=())
    )
    with pytest.raises(DataError, match="not a complete elpv-dataset wheel"):
        elpv.prepare(tmp_path, Silent())
    assert list(tmp_path.iterdir()) == []


def test_paths_in_the_wheel_stay_inside_the_folder(tmp_path):
    wheel = tmp_path / "evil.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("elpv_dataset/data/labels.csv", "../../evil.png 1.0 mono\n")
        archive.writestr("elpv_dataset/data/../../evil.png", b"x")
    (tmp_path / "out").mkdir()
    elpv.unpack(wheel, tmp_path / "out")
    assert not (tmp_path / "evil.png").exists()
    assert (tmp_path / "out" / "images" / "evil.png").exists()


@pytest.mark.slow
def test_the_real_cells(tmp_path):
    rows = read(elpv.prepare(tmp_path, Silent()) / "metadata.csv")
    assert len(rows) == 2624
    assert sum(row["label"] == "defective" for row in rows) == 821
    with Image.open(tmp_path / "elpv" / rows[0]["file_name"]) as image:
        assert (image.size, image.mode) == ((300, 300), "L")
