"""What `headstart predict` writes for detectors: pictures with boxes, and one COCO JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.types import Prediction


class BoxFiles:
    """draw: folder for pictures. coco: file for the boxes of all. Either may be None.

    Raises SettingError where the task gives no boxes, or the places cannot be written to.
    """

    def __init__(self, task: str, classes: list[str], draw: str | None, coco: str | None) -> None:
        from headstart.errors import SettingError

        if (draw or coco) and task != "object-detection":
            raise SettingError(f"--draw and --coco are for object detection, and this is a {task} run. Leave them out.")
        self.classes = classes
        self.folder = Path(draw).expanduser() if draw else None
        self.file = Path(coco).expanduser() if coco else None
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self._names: set[str] = set()
        try:
            for folder in (self.folder, self.file.parent if self.file else None):
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(f"{folder} cannot be written to: {error.strerror}. Name another place.") from error

    def add(self, prediction: Prediction) -> None:
        """Draw and note the boxes of one picture; what could not be read is left out."""
        if prediction.boxes is None or (self.folder is None and self.file is None):
            return
        from headstart.data import image

        picture = image.load(prediction.id)
        if self.folder is not None:
            from headstart.data.box_drawing import draw_named

            shown = [(b.label, b.score, b.corners) for b in prediction.boxes if b.counts]
            draw_named(picture, shown, self.classes).save(self.folder / self._free_name(prediction.id), quality=90)
        number = len(self.images) + 1
        width, height = picture.size
        self.images.append({"id": number, "file_name": prediction.id, "width": width, "height": height})
        for box in prediction.boxes:
            left, top, right, bottom = box.corners
            self.annotations.append(
                {"id": len(self.annotations) + 1, "image_id": number, "category_id": self.classes.index(box.label) + 1,
                 "bbox": [left, top, round(right - left, 1), round(bottom - top, 1)], "score": box.score,
                 "area": round((right - left) * (bottom - top), 1), "iscrowd": 0}
            )  # fmt: skip

    def _free_name(self, name: str) -> str:
        """The picture's own name as JPEG; numbered where two folders hold one of that name."""
        stem = Path(name).stem
        free, number = f"{stem}.jpg", 2
        while free in self._names:
            free, number = f"{stem}-{number}.jpg", number + 1
        self._names.add(free)
        return free

    def finish(self) -> None:
        """Write the COCO file."""
        if self.file is None:
            return
        categories = [{"id": n, "name": name} for n, name in enumerate(self.classes, start=1)]
        content = {"images": self.images, "annotations": self.annotations, "categories": categories}
        self.file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
