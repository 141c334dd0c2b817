"""Demo for detection: tree crowns in aerial images, one large image to learn from and another to test on."""

from __future__ import annotations

import zipfile
from pathlib import Path

from headstart.demo_data.folders import build_once
from headstart.demo_data.wheel import download_wheel
from headstart.errors import DataError
from headstart.types import Reporter

PACKAGE = "deepforest"
VERSION = "2.1.0"
WHEEL_SHA256 = "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54"
DATA = "deepforest/data/"  # inside the wheel
LEARNT = "2019_YELL_2_528000_4978000_image_crop2"  # 574 crowns
HELD = "2019_YELL_2_541000_4977000_image_crop"  # 279 crowns
OTHER_SITES = ("OSBS_029", "SOAP_061")
NEEDED_BYTES = 80_000_000

LICENCE_NOTE = """\
Tree crowns in airborne images of the National Ecological Observatory Network (NEON): Yellowstone, and two other sites.
Taken from the Python package deepforest (MIT licence):

Weinstein et al. DeepForest: A Python package for RGB deep learning tree crown delineation.
Methods in Ecology and Evolution 11, 2020.

Changed here: nothing but the folders.
"""


def prepare(root: Path, reporter: Reporter) -> Path:
    """Write `<root>/trees/`: train/ and test/ with one large image each and its boxes (Pascal VOC), and other-sites/
    beside it.

    Returns the folder. Raises MachineError without pip, network or disk space, or when the wheel is not the pinned one.
    Source: Weinstein et al. 2020.
    """

    def build(staging: Path, scratch: Path) -> None:
        reporter.say(f"Downloading {PACKAGE} {VERSION} (21 MB with aerial images) with pip.")
        unpack(download_wheel(PACKAGE, VERSION, WHEEL_SHA256, scratch), staging)
        reporter.say("Prepared 853 tree crowns in two aerial images, and two images of other sites.")

    built = {"package": PACKAGE, "version": VERSION}
    return build_once(root / "trees", built, NEEDED_BYTES, reporter, build) / "yellowstone"


def unpack(wheel: Path, folder: Path) -> None:
    """Lay the wheel's images and boxes out in `folder`. Raises DataError when the wheel lacks some."""
    places = {LEARNT: "yellowstone/train", HELD: "yellowstone/test", **dict.fromkeys(OTHER_SITES, "other-sites")}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, place in places.items():
                (folder / place).mkdir(parents=True, exist_ok=True)
                for suffix in (".png", ".xml"):
                    (folder / place / f"{name}{suffix}").write_bytes(archive.read(f"{DATA}{name}{suffix}"))
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel.name} is not a complete {PACKAGE} wheel ({error}). Run this again.") from error
    (folder / "LICENCE.txt").write_text(LICENCE_NOTE, encoding="utf-8")
