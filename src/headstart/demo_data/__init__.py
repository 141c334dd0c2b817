"""The data of `headstart demo`: real, fetched on the user's machine, never part of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headstart.demo_data import debian, elpv, languages, prompts, synopses, trees
from headstart.types import Reporter


@dataclass(frozen=True)
class Demo:
    """One demonstration: data to prepare, and the settings `fit` gets for them.

    prepare: takes the folder to prepare data under; returns the path to give to `fit`.
    settings: keyword settings of `fit`.
    published: results of others on these data: name, metric, value, note.
    """

    name: str
    task: str
    title: str
    prepare: Callable[[Path, Reporter], Path]
    settings: dict[str, Any]
    published: list[dict[str, Any]] = field(default_factory=list)


DEMOS: dict[str, Demo] = {
    "images": Demo(
        name="images",
        task="image-classification",
        title="Which solar cells are defective?",
        prepare=elpv.prepare,
        settings={"budget": "5m", "test_size": 0.25, "input_column": "file_name", "target_column": "label"},
        published=[
            {"name": "SVM (Deitsch et al. 2019)", "metric": "accuracy", "value": 0.8244, "note": "75/25 split"},
            {
                "name": "VGG-19 transfer (Deitsch et al. 2019)",
                "metric": "accuracy",
                "value": 0.8842,
                "note": "75/25 split",
            },
        ],
    ),
    "text": Demo(
        name="text",
        task="text-classification",
        title="Which section does a Debian package belong to?",
        prepare=debian.prepare,
        settings={"budget": "5m", "group_column": "source", "input_column": "text", "target_column": "section"},
    ),
    "audio": Demo(
        name="audio",
        task="audio-classification",
        title="Which language does the telephone system speak?",
        prepare=languages.prepare,
        settings={"budget": "5m", "input_column": "file_name", "target_column": "label"},
    ),
    "speech": Demo(
        name="speech",
        task="speech-recognition",
        title="What does the telephone system say?",
        prepare=prompts.prepare,
        settings={"budget": "10m"},
    ),
    "summaries": Demo(
        name="summaries",
        task="summarization",
        title="How would a maintainer say it in one line?",
        prepare=synopses.prepare,
        settings={"budget": "15m", "group_column": "origin"},
    ),
    "trees": Demo(
        name="trees",
        task="object-detection",
        title="Where are the trees?",
        prepare=trees.prepare,
        settings={"budget": "10m"},
    ),
}
