"""What the reader needs to know of a kind of input: suffixes, and a check that decodes it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headstart.data import audio, image, text
from headstart.data.checked import Checked


@dataclass(frozen=True)
class Modality:
    """suffixes: file endings (lower case); empty for texts, which are not files."""

    suffixes: frozenset[str]
    check: Callable[[str], Checked]
    plural: str


MODALITIES: dict[str, Modality] = {
    "image": Modality(image.SUFFIXES, image.check, "images"),
    "audio": Modality(audio.SUFFIXES, audio.check, "recordings"),
    "text": Modality(frozenset(), text.check, "texts"),
}
