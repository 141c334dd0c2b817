"""Word and character error rates, with the text normalisation they depend on."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Normaliser = Callable[[str], str]

NORMALISATION = "lowercase, punctuation dropped"
"""The name under which `normalise` is reported; an error rate means nothing without it."""

_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ＇"), "'")


def normalise(text: str) -> str:
    """Prepare text for comparison: "lowercase, punctuation dropped".

    In this order: Unicode NFKC; typographic apostrophes become '; lower case; format characters (category Cf, such
    as soft hyphens and zero-width spaces) are removed; every other character of the categories punctuation (P),
    symbol (S), separator (Z) and control (C) becomes a space, except an apostrophe between two letters or digits;
    runs of spaces collapse, ends are trimmed. Letters, digits and combining marks of all scripts stay; numbers are
    not spelt out.

    >>> normalise("Don’t  stop: it's WELL-known — 'really'!")
    "don't stop it's well known really"
    """
    clean = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    clean = "".join(c for c in clean if unicodedata.category(c) != "Cf")
    kept = [c if _keeps(clean, i) else " " for i, c in enumerate(clean)]
    return " ".join("".join(kept).split())


def english_normalise(text: str) -> str:
    """Prepare English text as Whisper's authors do, without their spelling table.

    Expands contractions, writes numbers as digits, drops fillers and bracketed remarks; British and American
    spellings stay different. Source: Radford et al. 2022, appendix C; transformers' EnglishTextNormalizer.
    """
    return _english_normaliser()(text)


def wer(pairs: Iterable[tuple[str, str]], normaliser: Normaliser = normalise) -> float:
    """Word error rate of (reference, hypothesis) pairs: all errors over all reference words (can exceed 1).

    Words put where the reference is empty count as errors; with no reference word at all, divides by 1.
    """
    return _rate(row_errors(reference, hypothesis, normaliser) for reference, hypothesis in pairs)


def cer(pairs: Iterable[tuple[str, str]], normaliser: Normaliser = normalise) -> float:
    """Character error rate of (reference, hypothesis) pairs, spaces included; empty references as in `wer`."""
    return _rate(row_character_errors(reference, hypothesis, normaliser) for reference, hypothesis in pairs)


def row_errors(reference: str, hypothesis: str, normaliser: Normaliser = normalise) -> tuple[int, int]:
    """(errors, words): substitutions + deletions + insertions of one row, and the words of its reference.

    Corpus WER is sum(errors) / sum(words), which is what the bootstrap over rows recomputes.
    """
    import jiwer

    reference, hypothesis = normaliser(reference), normaliser(hypothesis)
    words = len(reference.split())
    if not words:
        return len(hypothesis.split()), 0
    found = jiwer.process_words(reference, hypothesis)
    return found.substitutions + found.deletions + found.insertions, words


@dataclass(frozen=True)
class WordErrors:
    """How many reference words were taken for others, not heard, and how many were heard that nobody said.

    confused: (said, heard) -> how often; runs of words that were taken for as many others are paired in order. missed,
    added: words -> how often.
    """

    substitutions: int
    deletions: int
    insertions: int
    confused: Counter[tuple[str, str]]
    missed: Counter[str]
    added: Counter[str]


def word_errors(pairs: Iterable[tuple[str, str]], normaliser: Normaliser = normalise) -> WordErrors:
    """The kinds of error in (reference, hypothesis) pairs, by jiwer's alignment."""
    import jiwer

    confused: Counter[tuple[str, str]] = Counter()
    missed: Counter[str] = Counter()
    added: Counter[str] = Counter()
    for reference, hypothesis in ((normaliser(r), normaliser(h)) for r, h in pairs):
        said, heard = reference.split(), hypothesis.split()
        if not said:
            added.update(heard)
            continue
        for chunk in jiwer.process_words(reference, hypothesis).alignments[0]:
            ours = said[chunk.ref_start_idx : chunk.ref_end_idx]
            theirs = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "substitute":
                confused.update(zip(ours, theirs))
            elif chunk.type == "delete":
                missed.update(ours)
            elif chunk.type == "insert":
                added.update(theirs)
    return WordErrors(confused.total(), missed.total(), added.total(), confused, missed, added)


def row_character_errors(reference: str, hypothesis: str, normaliser: Normaliser = normalise) -> tuple[int, int]:
    """(errors, characters) of one row, spaces included."""
    import jiwer

    reference, hypothesis = normaliser(reference), normaliser(hypothesis)
    if not reference:
        return len(hypothesis), 0
    found = jiwer.process_characters(reference, hypothesis)
    return found.substitutions + found.deletions + found.insertions, len(reference)


def _rate(rows: Iterable[Sequence[int]]) -> float:
    counts = list(rows)
    return sum(row[0] for row in counts) / max(sum(row[1] for row in counts), 1)


def _keeps(text: str, index: int) -> bool:
    if text[index] == "'":
        return 0 < index < len(text) - 1 and text[index - 1].isalnum() and text[index + 1].isalnum()
    return unicodedata.category(text[index])[0] in "LNM"


@functools.cache
def _english_normaliser() -> Normaliser:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normaliser: Normaliser = EnglishTextNormalizer({})
    return normaliser
