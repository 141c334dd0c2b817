"""Pictures for benchmarks: emoji of a colour font, by the subgroups that Unicode sorts them into (Debian packages)."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from debian_files import unpack
from headstart.demo_data.folders import build_once
from headstart.types import Reporter

PACKAGES = ("fonts-noto-color-emoji", "unicode-data")
STRIKE, SIZE = 109, (136, 128)  # the one size of the font's bitmaps, in points, and of a picture, in pixels
FEWEST = 12  # pictures of a class
SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")
# ten kinds of the subgroups: what a network is tried on
TARGETS = ("animal-mammal", "animal-bird", "animal-marine", "animal-bug", "food-fruit", "food-vegetable",
           "food-prepared", "food-sweet", "transport-ground", "sky & weather")  # fmt: skip
MISSING_APT = "The emoji need a Debian or Ubuntu machine: they are Debian packages, and there is no apt-get."


def prepare(root: Path, reporter: Reporter) -> Path:
    """Write `<root>/emoji/` with one folder of PNGs for each subgroup, and labels.csv (file_name, label).

    Without skin tones and families, which differ in little. Returns the folder. Raises MachineError without apt.
    Source: Noto Color Emoji (Open Font Licence 1.1) and Unicode's emoji-test.txt.
    """

    def build(staging: Path, scratch: Path) -> None:
        shared = unpack(PACKAGES, scratch, MISSING_APT) / "usr" / "share"
        font = ImageFont.truetype(shared / "fonts/truetype/noto/NotoColorEmoji.ttf", STRIKE)
        listed = (shared / "unicode/emoji/emoji-test.txt").read_text(encoding="utf-8")
        rows = []
        for label, texts in by_subgroup(listed).items():
            folder = staging / re.sub(r"\W+", "-", label)
            folder.mkdir()
            for text in texts:
                picture = Image.new("RGB", SIZE, "white")
                ImageDraw.Draw(picture).text((0, 0), text, font=font, embedded_color=True)
                if np.asarray(picture).std() < 1:  # not in this version of the font
                    continue
                name = "-".join(f"{ord(c):x}" for c in text)
                picture.save(folder / f"{name}.png")
                rows.append((f"{folder.name}/{name}.png", label))
        with (staging / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("file_name", "label"), *sorted(rows)])
        reporter.say(f"Prepared {len(rows)} emoji of {len({label for _, label in rows})} subgroups.")

    return build_once(root / "emoji", {"packages": list(PACKAGES), "fewest": FEWEST}, 300_000_000, reporter, build)


def by_subgroup(listed: str) -> dict[str, list[str]]:
    """Subgroup -> its emoji, of those with FEWEST or more; the lines of emoji-test.txt."""
    found: dict[str, list[str]] = defaultdict(list)
    label = ""
    for line in listed.splitlines():
        if line.startswith("# subgroup:"):
            label = line.partition(":")[2].strip()
        codes, _, kind = line.partition("#")[0].partition(";")
        if kind.strip() != "fully-qualified":
            continue
        text = "".join(chr(int(code, 16)) for code in codes.split())
        if not SKIN_TONES.search(text) and "\u200d" not in text:
            found[label].append(text)
    return {name: texts for name, texts in found.items() if len(texts) >= FEWEST}


def target_rows(folder: Path) -> list[tuple[Path, str]]:
    """Picture and label of the classes that a network is tried on."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        return [(folder / r["file_name"], r["label"]) for r in csv.DictReader(stream) if r["label"] in TARGETS]
