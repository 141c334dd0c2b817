"""Views move boxes with the picture: what is drawn in a box is found in the moved one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from headstart.data.box_views import FROM_ABOVE, View, view_named

SIZE = (120, 90)
BOX = (30, 20, 70, 50)


def drawn() -> Image.Image:
    made = Image.new("RGB", SIZE, "black")
    made.paste("white", BOX)
    return made


@pytest.mark.parametrize("from_above", [True, False])
@pytest.mark.parametrize("digest", ["a", "b", "c"])
@pytest.mark.parametrize("name", FROM_ABOVE)
def test_what_was_drawn_lies_in_the_moved_box(name: str, digest: str, from_above: bool) -> None:
    view = view_named(name, digest, SIZE, from_above)
    moved = np.asarray(view.picture(drawn()).convert("L"), dtype=float)
    bright = moved > 0.75 * moved.max()
    corners, shown = view.corners(np.array([BOX], dtype=float), SIZE)
    if not shown[0]:
        pytest.skip("moved out of the picture")
    rows, columns = np.where(bright)
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    np.testing.assert_allclose(seen, corners[0], atol=1.5)


def test_views_are_the_same_each_time_and_other_for_other_pictures() -> None:
    assert view_named("zoom1", "a", SIZE, True) == view_named("zoom1", "a", SIZE, True)
    assert view_named("zoom1", "a", SIZE, True) != view_named("zoom1", "b", SIZE, True)
    assert view_named("zoom1", "a", SIZE, True) != view_named("zoom2", "a", SIZE, True)


def test_upright_pictures_are_never_upside_down() -> None:
    assert all(view_named(f"zoom{n}", str(n), SIZE, False).y_scale > 0 for n in range(1, 5))


def test_an_object_of_which_little_is_left_is_not_asked_for() -> None:
    view = View(2.0, -100.0, 2.0, 0.0)
    corners, shown = view.corners(np.array([[30, 20, 52, 40], [60, 20, 70, 40]], dtype=float), SIZE)
    assert corners.tolist() == [[0, 40, 4, 80], [20, 40, 40, 80]]
    assert shown.tolist() == [False, True]
