"""One file per task; this dict is how the rest finds them."""

from __future__ import annotations

from headstart.errors import DataError, SettingError
from headstart.tasks import (
    audio_classification,
    image_classification,
    multi_label,
    object_detection,
    speech_recognition,
    summarization,
    text_classification,
    translation,
)
from headstart.tasks.task import Task

TASKS: dict[str, Task] = {
    "image-classification": image_classification.TASK,
    "object-detection": object_detection.TASK,
    "text-classification": text_classification.TASK,
    "audio-classification": audio_classification.TASK,
    "speech-recognition": speech_recognition.TASK,
    "translation": translation.TASK,
    "summarization": summarization.TASK,
    **{task.name: task for task in multi_label.TASKS},
}


def task_named(name: str, several: bool = False) -> Task:
    """The task of this name; several: the one of several labels for an input, where there is one.

    Raises SettingError with the names there are.
    """
    if name not in TASKS:
        raise SettingError(f"task is {name!r}; choose one of {', '.join(TASKS)}.")
    return TASKS.get(f"multi-label-{name}", TASKS[name]) if several else TASKS[name]


def task_for(modality: str, target_kind: str, is_summary: bool = False) -> Task:
    """The task that fits such data; of texts to texts summarization where the target is called so, else translation.

    Raises DataError where none does.
    """
    for task in TASKS.values():
        if is_summary and task.name == "translation":
            continue
        if (task.modality, task.target_kind) == (modality, target_kind):
            return task
    raise DataError(
        f"No task takes {modality} inputs with {target_kind} targets. Tasks: {', '.join(TASKS)}. "
        "Name one with --task, or other columns with --input-column and --target-column."
    )
