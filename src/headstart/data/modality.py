"""What the reader needs to know of a kind of input: suffixes, and a check that decodes it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headstart.data import audio, image, text
from headstart.data.checked import Checked


@dataclass(frozen=True)
class Modality:
    """suffixes: file endings (lower case); empty for texts, which are not files.

    check: decodes one input. check_for_classes: where targets are classes, if that differs. check_for_answers: where a
    trained model is to answer with a text, if that differs.
    """

    suffixes: frozenset[str]
    check: Callable[[str], Checked]
    plural: str
    check_for_classes: Callable[[str], Checked] | None = None
    check_for_answers: Callable[[str], Checked] | None = None

    def check_for(self, target_kind: str) -> Callable[[str], Checked]:
        """The check of an input whose target is a "class" or a "text"."""
        return (self.check_for_classes if target_kind in ("class", "labels", "boxes") else None) or self.check

    def check_to_answer(self, target_kind: str) -> Callable[[str], Checked]:
        """The check of an input that a trained model is to answer to."""
        return (self.check_for_answers if target_kind == "text" else None) or self.check_for(target_kind)


MODALITIES: dict[str, Modality] = {
    "image": Modality(image.SUFFIXES, image.check, "images"),
    "audio": Modality(audio.SUFFIXES, audio.check, "recordings", audio.check_for_classes, audio.check_beginning),
    "text": Modality(frozenset(), text.check, "texts"),
}
