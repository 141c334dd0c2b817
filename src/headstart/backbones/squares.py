"""What backbones of detectors share: pictures, or tiles of them, in squares of one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.backbones.backbone import Item
from headstart.data import image
from headstart.data.box_views import FROM_ABOVE, UPRIGHT, View, view_named
from headstart.stock.regions import size_of
from headstart.stock.timm_detector import Square, squares
from headstart.types import Example, Framing


class InSquares:
    """framing: how pictures are seen. config: the same as a saved detector has it."""

    def __init__(self, framing: Framing, config: dict[str, Any]) -> None:
        self.framing, self.config = framing, config
        self.unit = "tile" if framing.tile else "image"
        self.views = FROM_ABOVE if framing.tile else UPRIGHT

    def square(self, example: Example) -> Square:
        """What of its picture an example shows, and the network's pixels for each pixel, along x and y."""
        return squares(size_of(example.input), self.config)[0]

    def view(self, example: Example, name: str) -> View:
        """How that view changes the example's picture and boxes."""
        return view_named(name, example.digest, size_of(example.input), self.framing.tile is not None)

    def picture(self, example: Example, view: str) -> Image.Image:
        """The example in that view, in pixels of its own."""
        return self.view(example, view).picture(image.load(example.input))

    def length(self, item: Item) -> int:
        del item
        return 1

    def collate(self, items: Sequence[Item]) -> dict[str, NDArray[np.generic]]:
        return {"image": np.stack([item["image"] for item in items])}

    def cut_off(self, examples: Sequence[Example]) -> str:
        del examples
        return ""
