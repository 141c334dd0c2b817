"""Crops keep most of the image, differ by example and number, and are the same in every run."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from headstart.data.augment import LIGHT, MIN_AREA, augmented

# red grows to the right, green downwards: a pixel tells where it was
ACROSS, DOWN = np.meshgrid(np.linspace(0, 200, 101), np.linspace(0, 200, 81))
PICTURE = Image.fromarray(np.stack([ACROSS, DOWN, np.full_like(ACROSS, 100)], 2).astype(np.uint8))


def pixels(view: str, digest: str = "a") -> np.ndarray:
    return np.asarray(augmented(PICTURE, view, digest)).astype(float)


def test_mirrors_are_exact() -> None:
    plain = pixels("plain")
    assert (pixels("hflip") == plain[:, ::-1]).all()
    assert (pixels("vflip") == plain[::-1]).all()
    assert (pixels("hvflip") == plain[::-1, ::-1]).all()


@pytest.mark.parametrize("digest", ["a", "b", "c", "d"])
def test_a_crop_keeps_most_of_the_image_in_its_proportions(digest: str) -> None:
    crop = augmented(PICTURE, "crop1", digest)
    shares = [new / old for new, old in zip(crop.size, PICTURE.size)]
    assert MIN_AREA - 0.03 <= shares[0] * shares[1] <= 1.0
    assert shares[0] == pytest.approx(shares[1], abs=0.02)
    values = np.asarray(crop).astype(float)
    assert (np.diff(values[:, :, 0].mean(0)) >= 0).all()  # neither mirrored nor turned
    assert (np.diff(values[:, :, 1].mean(1)) >= 0).all()


def test_light_changes_within_bounds() -> None:
    blue = [pixels("crop1", str(n))[:, :, 2].mean() for n in range(20)]
    assert min(blue) < 95 < 105 < max(blue)
    low, high = (100 * (1 + sign * LIGHT) for sign in (-1, 1))
    # contrast moves values about the mean of all pixels, which lies near this colour
    assert all(low - 6 < value < high + 6 for value in blue)


def test_crops_differ_by_number_and_example_and_repeat() -> None:
    made = [pixels(view, digest) for view, digest in (("crop1", "a"), ("crop2", "a"), ("crop1", "b"))]
    for i, one in enumerate(made):
        for other in made[i + 1 :]:
            assert one.shape != other.shape or (one != other).any()
    assert (pixels("crop1", "a") == made[0]).all()


def test_a_single_pixel_is_left_whole() -> None:
    assert augmented(Image.new("RGB", (1, 1)), "crop1", "a").size == (1, 1)
