"""Check the boxes of all pictures once these are decoded, and decide how a detector sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from headstart.data.boxes import Box, as_target, usable
from headstart.data.scenes import framing_of, scenes_of
from headstart.errors import DataError
from headstart.stock.regions import with_region
from headstart.types import Example, Framing

MIN_OBJECTS = 2  # of a class


def boxed(
    examples: Sequence[Example], sizes: Sequence[tuple[int, int]], known_classes: tuple[str, ...], notes: list[str]
) -> tuple[list[Example], tuple[str, ...], Framing]:
    """Scenes with usable boxes, the classes, and how they are seen.

    examples: one for each picture; the target is the cell of its boxes. The inputs of what comes back name their
    region, so that sizes are known. sizes: of the pictures, in pixels.
    known_classes: those that a trained detector has; pictures then stay whole. notes: what was mended is added to them.
    Raises DataError where no class has two objects.
    """
    faults: Counter[str] = Counter()
    boxes: list[tuple[Box, ...]] = []
    for example, size in zip(examples, sizes):
        found, mended = usable(example.target or "", size)
        faults.update(mended)
        boxes.append(found)
    classes = known_classes or _classes(boxes, notes)
    others = sum(box.label not in classes for found in boxes for box in found)
    if others:
        faults["boxes of classes that the model does not know: left out"] += others if known_classes else 0
        boxes = [tuple(box for box in found if box.label in classes) for found in boxes]
    notes += [f"{count} {fault}" for fault, count in faults.items() if count]
    whole = [
        replace(e, target=as_target(found), input=with_region(e.input, (0, 0, *size)))
        for e, found, size in zip(examples, boxes, sizes)
    ]
    is_test = [e.split == "test" for e in examples]
    learnt = [n for n, test in enumerate(is_test) if not test] or list(range(len(examples)))
    framing = framing_of([sizes[n] for n in learnt], [boxes[n] for n in learnt])
    notes.append(_told(boxes))
    if framing.tile is None or known_classes:
        return whole, classes, framing
    scenes: list[Example] = []
    for example, size, test in zip(whole, sizes, is_test):
        scenes += scenes_of(example, size, is_test.count(test))
    if len(scenes) > len(whole):
        notes.append(
            f"{len(whole)} images are few: they are cut into {len(scenes)} parts that are kept apart, and objects at "
            "an edge of a part that shows less than two fifths of them are not asked for there"
        )
    return scenes, classes, framing


def wrong_sizes(pictures: Sequence[tuple[str, str, tuple[int, int]]]) -> list[str]:
    """A sentence where annotations were made on pictures of another size.

    pictures: of each its name, the size that the annotation says ("" for none), and its own.
    """
    wrong = [(name, said, own) for name, said, own in pictures if said and said != f"{own[0]}x{own[1]}"]
    if not wrong:
        return []
    name, said, own = wrong[0]
    return [
        f"{len(wrong)} images are not of the size that their annotation says (such as {name}: {own[0]}x{own[1]}, not "
        f"{said}); their boxes are taken as they stand, so check that they fit"
    ]


def _classes(boxes: Sequence[Sequence[Box]], notes: list[str]) -> tuple[str, ...]:
    counts = Counter(box.label for found in boxes for box in found if not box.crowd)
    classes = tuple(sorted(label for label, count in counts.items() if count >= MIN_OBJECTS))
    if not classes:
        raise DataError(
            f"{len(boxes)} images hold {sum(counts.values())} usable boxes, and no class has two of them. Draw boxes "
            "around more objects, or check how the files name their classes."
        )
    if rare := sorted(set(counts) - set(classes)):
        notes.append(f"{len(rare)} classes with a single object are left out (such as {rare[0]!r})")
    return classes


def _told(boxes: Sequence[Sequence[Box]]) -> str:
    objects = sum(not box.crowd for found in boxes for box in found)
    empty = sum(not found for found in boxes)
    none = f", none in {empty} of them" if empty else ""
    return f"{objects} objects in {len(boxes)} images{none}"
