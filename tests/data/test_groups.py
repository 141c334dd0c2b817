"""Rows that must not be separated: copies, near copies, the user's groups, and unions of these."""

from __future__ import annotations

import io

import numpy as np
import pytest
from made import picture
from PIL import Image, ImageDraw

from headstart.data import text
from headstart.data.checked import Checked
from headstart.data.groups import group_rows
from headstart.data.image import sketch


def seen(image: Image.Image, name: str) -> Checked:
    return Checked(name, name, (), sketch(image).tobytes())


def copy_of(image: Image.Image, quality: int, scale: float = 1.0) -> Image.Image:
    smaller = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    smaller.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def cell(seed: int) -> Image.Image:
    """A solar cell as electroluminescence shows it: the same frame and bars every time, other dark specks."""
    rng = np.random.default_rng(seed)
    pixels = np.full((300, 300), 150.0) + rng.normal(0, 4, (300, 300)) + np.linspace(0, rng.uniform(5, 25), 300)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for y in (50, 150, 250):
        draw.line((0, y, 300, y), fill=90, width=4)
    for x, y in rng.integers(10, 260, (4, 2)):
        draw.ellipse((x, y, x + 28, y + 28), fill=100)
    draw.rectangle((0, 0, 299, 299), outline=60, width=6)
    return image.convert("RGB")


def names(outcomes: list[Checked], users: list[str] | None = None) -> list[str]:
    return group_rows(outcomes, users or [""] * len(outcomes))[0]


def test_equal_and_equal_looking_texts_are_one_group():
    a, b, c, d = names([text.check(t) for t in ("Good film", "good  FILM", "Good film", "bad film")])
    assert a == b == c != d


@pytest.mark.parametrize(("quality", "scale"), [(95, 1), (75, 1), (50, 1), (90, 0.5), (90, 1.5)])
@pytest.mark.parametrize("make", [picture, cell])
def test_a_reencoded_or_resized_copy_is_near(make, quality, scale):
    originals = [make(seed) for seed in range(10)]
    outcomes = [seen(image, f"{i} original") for i, image in enumerate(originals)]
    outcomes += [seen(copy_of(image, quality, scale), f"{i} copy") for i, image in enumerate(originals)]
    groups = names(outcomes)
    assert groups[:10] == groups[10:]
    assert len(set(groups)) == 10


@pytest.mark.parametrize("make", [picture, cell])
def test_different_pictures_of_one_kind_are_not_near(make):
    assert len(set(names([seen(make(seed), f"{seed:03}") for seed in range(60)]))) == 60


def test_brighter_is_not_the_same():
    one, other = picture(1), picture(1).point(lambda v: v // 2)
    assert len(set(names([seen(one, "a"), seen(other, "b")]))) == 2


def test_user_groups_join_and_an_empty_one_does_not():
    outcomes = [Checked(d, d) for d in "abcd"]
    assert names(outcomes, ["ann", "", "ann", ""]) == ["a", "b", "a", "d"]


def test_a_user_group_never_collides_with_a_content_digest():
    assert names([Checked("a", "a"), Checked("b", "b")], ["b", ""]) == ["a", "b"]


def test_unions_are_transitive():
    copies = picture(5), copy_of(picture(5), 80)
    outcomes = [
        seen(copies[0], "d"),
        seen(copies[1], "c"),
        Checked("b", "same"),
        Checked("a", "same"),
        Checked("z", "z"),
    ]
    assert names(outcomes, ["", "ann", "ann", "", ""]) == ["a", "a", "a", "a", "z"]


def test_names_do_not_depend_on_the_order():
    outcomes = [seen(picture(i // 3), f"{i:02}") for i in range(30)]
    users = [str(i % 7) if i > 20 else "" for i in range(30)]
    order = np.random.default_rng(0).permutation(30)
    shuffled = names([outcomes[i] for i in order], [users[i] for i in order])
    wanted = names(outcomes, users)
    assert shuffled == [wanted[i] for i in order]


def test_a_scene_that_never_changes_is_not_one_huge_group_but_said():
    frames = [cell(1).point(lambda v, i=i: min(255, v + i % 2)) for i in range(60)]
    groups, _, notes = group_rows([seen(f, f"{i:02}") for i, f in enumerate(frames)], [""] * 60)
    assert len(set(groups)) == 60
    assert "of 60 images look alike at a glance" in notes[0]
    assert "--group-column" in notes[0]
