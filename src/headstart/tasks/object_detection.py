"""Images to boxes around objects."""

from __future__ import annotations

from headstart.heads.detection import DetectionHead
from headstart.tasks.box_control import BoxControl
from headstart.tasks.box_scores import score_boxes
from headstart.tasks.naive_boxes import usual_boxes
from headstart.tasks.task import Task

HEAD = DetectionHead()

TASK = Task(
    name="object-detection",
    modality="image",
    target_kind="boxes",
    head=HEAD,
    untuned="untuned",
    headline="map",
    headline_unit="points of mAP",
    lower_is_better=False,
    cross_validate_small=False,
    decision_folds=1,
    score=score_boxes,
    naive_name="boxes where and as large as they usually are",
    naive=usual_boxes,
    control=BoxControl(HEAD),
    control_passes=(2, 8),
    control_test_rows=200,
    choose_decoding=None,
    uncertainty=None,
    exclusive_classes=False,
    views_move_targets=True,
)
