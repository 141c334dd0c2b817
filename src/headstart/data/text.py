"""Check texts: not empty, normalised for finding duplicates."""

from __future__ import annotations

import re
import unicodedata

from headstart.data.checked import Checked, UnusableInput, content_digest


def normalise(text: str) -> str:
    """Fold case, compatibility forms and white space, so that equal-looking texts compare equal."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()


def check(text: str) -> Checked:
    """Hash the text; refuse an empty one, and one that no tokenizer takes because half a character is missing."""
    plain = normalise(text)
    if not plain:
        raise UnusableInput("empty text")
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise UnusableInput("text holds half a character", f"unpaired surrogate at position {error.start}") from error
    notes = ("texts with U+FFFD replacement characters: the file was decoded wrongly before",) if "�" in text else ()
    return Checked(content_digest(encoded), content_digest(plain.encode("utf-8", "surrogatepass")), notes)
