"""What `headstart predict --format srt` writes: subtitles on stdout, or a file for each recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from headstart.cli.captions import captions

if TYPE_CHECKING:
    from headstart.types import Prediction


class Subtitles:
    """kind: "srt" or "vtt". folder: where files go; None prints the one there is.

    Raises SettingError where the task gives no transcripts, or several recordings have no folder.
    """

    def __init__(self, task: str, kind: str, folder: str | None, inputs: int) -> None:
        from headstart.errors import SettingError

        if task != "speech-recognition":
            raise SettingError(f"--format {kind} is for transcripts, and this is a {task} run. Leave it out.")
        if folder is None and inputs > 1:
            raise SettingError(f"--format {kind} for {inputs} recordings: name a folder for the files with --out.")
        self.kind = kind
        self.folder = Path(folder).expanduser() if folder else None
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingError(
                    f"{folder} cannot be written to: {error.strerror}. Name another place with --out."
                ) from error

    def add(self, prediction: Prediction) -> None:
        """Write one recording's subtitles; one that could not be read is told on stderr."""
        from headstart.data import audio
        from headstart.types import Segment

        if prediction.error is not None:
            click.echo(f"{prediction.id}: {prediction.error}", err=True)
            return
        segments = prediction.segments or (Segment(0.0, audio.seconds(prediction.id), prediction.text or ""),)
        text = captions(segments, self.kind)
        if self.folder is None:
            click.echo(text, nl=False)
            return
        stem, number = Path(prediction.id).stem, 2
        file = self.folder / f"{stem}.{self.kind}"
        while file.exists():  # of two folders, or of an earlier run: nothing is written over
            file, number = self.folder / f"{stem}-{number}.{self.kind}", number + 1
        file.write_text(text, encoding="utf-8")
