"""Demo images: solar cells, functional or defective, as an image folder with metadata.csv."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headstart.demo_data.folders import build_once
from headstart.demo_data.wheel import download_wheel
from headstart.errors import DataError
from headstart.types import Reporter

PACKAGE = "elpv-dataset"
VERSION = "1.0.0.post1"
WHEEL_SHA256 = "85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c"
DATA = "elpv_dataset/data/"  # inside the wheel
NEEDED_BYTES = 250_000_000  # the wheel (91 MB) and its images side by side, and a margin

LICENCE_NOTE = """\
ELPV: 2,624 electroluminescence images of solar cells with defect probabilities.
Licence of the images and annotations: CC BY-NC-SA 4.0. Not for commercial use; share alike; name the authors:

Buerhop-Lutz et al. A Benchmark for Visual Identification of Defective Solar Cells in Electroluminescence Imagery.
European PV Solar Energy Conference and Exhibition (EU PVSEC), 2018.
Deitsch et al. Automatic classification of defective photovoltaic module cells in electroluminescence images.
Solar Energy 185, 2019.

Changed here: labels.csv became metadata.csv, with label "defective" where the probability is at least 0.5,
else "functional". The images are as published.
"""


@dataclass(frozen=True)
class Cell:
    """One line of the data set's labels.csv; probability as written there."""

    file_name: str
    probability: str
    cell_type: str

    @property
    def label(self) -> str:
        return "defective" if float(self.probability) >= 0.5 else "functional"


def prepare(root: Path, reporter: Reporter) -> Path:
    """Write `<root>/elpv/`: `images/` and metadata.csv (file_name, label, cell_type, defect_probability).

    Returns the folder. Raises MachineError without pip, network or disk space, or when the wheel is not the pinned one.
    Source: Buerhop-Lutz et al. 2018; Deitsch et al. 2019.
    """

    def build(staging: Path, scratch: Path) -> None:
        reporter.say(f"Downloading {PACKAGE} {VERSION} (91 MB of solar cell images) with pip.")
        cells = unpack(download_wheel(PACKAGE, VERSION, WHEEL_SHA256, scratch), staging)
        defective = sum(cell.label == "defective" for cell in cells)
        reporter.say(f"Prepared {len(cells):,} solar cells, {defective:,} of them defective. Licence: CC BY-NC-SA 4.0.")

    return build_once(root / "elpv", {"package": PACKAGE, "version": VERSION}, NEEDED_BYTES, reporter, build)


def unpack(wheel: Path, folder: Path) -> list[Cell]:
    """Lay the wheel's data out in `folder`; return its cells. Raises DataError when the wheel lacks some."""
    images = folder / "images"
    images.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            cells = parse_labels(archive.read(DATA + "labels.csv").decode("utf-8"))
            for cell in cells:
                # .name: nothing in an archive may choose a path outside `folder`.
                target = images / PurePosixPath(cell.file_name).name
                target.write_bytes(archive.read(DATA + cell.file_name))
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel.name} is not a complete {PACKAGE} wheel ({error}). Run this again.") from error
    write_metadata(cells, folder / "metadata.csv")
    (folder / "LICENCE.txt").write_text(LICENCE_NOTE, encoding="utf-8")
    return cells


def parse_labels(text: str) -> list[Cell]:
    """Read labels.csv: lines of path, probability, cell type, separated by blanks.

    Raises DataError naming the first line that has other fields or a probability outside 0..1.
    """
    cells = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            path, probability, cell_type = fields
            valid = 0 <= float(probability) <= 1
        except ValueError:
            valid = False
        if not valid:
            raise DataError(f"labels.csv line {number} is {line!r}; expected path, probability and cell type.")
        cells.append(Cell(path, probability, cell_type))
    return cells


def write_metadata(cells: list[Cell], path: Path) -> None:
    """Write the table that names each image and its label."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "cell_type", "defect_probability"])
        for cell in cells:
            name = f"images/{PurePosixPath(cell.file_name).name}"
            writer.writerow([name, cell.label, cell.cell_type, cell.probability])
