"""Average precision and the detection error, beside faster-coco-eval and small cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.data.boxes import Box, as_target
from headstart.metrics.detection import Truth, best_threshold, match, mistakes, precision_table
from headstart.tasks.box_scores import score_boxes
from headstart.types import Found, Prediction


def truth(*corners: tuple[float, float, float, float], crowd: tuple[int, ...] = ()) -> Truth:
    flags = np.array([n in crowd for n in range(len(corners))], dtype=bool)
    return Truth(np.array(corners, dtype=float).reshape(-1, 4), np.zeros(len(corners), dtype=np.int64), flags)


def found(*rows: tuple[float, float, float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.array(rows, dtype=float).reshape(-1, 5)
    return values[:, :4], values[:, 4], np.zeros(len(values), dtype=np.int64)


def test_an_object_is_matched_once_by_the_surest_box() -> None:
    matched = match(truth((0, 0, 10, 10)), *found((0, 0, 10, 10, 0.6), (0, 0, 10, 9, 0.9)), 1)
    assert matched.scores.tolist() == [0.9, 0.6]
    assert matched.fit[0].tolist() == [pytest.approx(0.9), 0.0]  # the better fitting box came second


def test_boxes_in_a_crowd_are_neither_right_nor_false_and_crowds_are_not_missed() -> None:
    matched = match(truth((0, 0, 100, 100), crowd=(0,)), *found((10, 10, 20, 20, 0.9), (200, 0, 210, 10, 0.8)), 1)
    assert matched.ignored[0].tolist() == [True, False]
    assert mistakes(matched) == (1, 0)  # one false box, no object


@pytest.mark.parametrize(
    ("boxes", "wrong"),
    [
        ((), 1),  # missed
        (((0, 0, 10, 10, 0.9),), 0),
        (((0, 0, 10, 4, 0.9),), 2),  # fits too badly: a false box, and the object is missed
        (((0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.8)), 1),  # one right, one false
        (((0, 0, 10, 10, 0.4),), 1),  # below the score that counts
    ],
)
def test_mistakes_are_missed_objects_and_false_boxes(boxes: tuple[tuple[float, ...], ...], wrong: int) -> None:
    assert mistakes(match(truth((0, 0, 10, 10)), *found(*boxes), 1)) == (wrong, 1)  # type: ignore[arg-type]


def test_the_threshold_lets_right_boxes_count_and_false_ones_not() -> None:
    pictures = [
        match(truth((0, 0, 10, 10)), *found((0, 0, 10, 10, 0.3 + 0.1 * n), (50, 50, 60, 60, 0.2)), 1) for n in range(3)
    ]
    assert 0.2 < best_threshold(pictures) < 0.3


def test_where_every_box_is_false_none_counts() -> None:
    picture = match(truth((0, 0, 10, 10)), *found((50, 50, 60, 60, 0.7)), 1)
    assert best_threshold([picture]) > 0.7


def random_pictures(seed: int, count: int = 30) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    pictures = []
    for n in range(count):
        boxes, answers = [], []
        for _ in range(rng.integers(0, 8)):
            label = "ab"[rng.integers(2)]
            x, y, w, h = rng.uniform(0, 300), rng.uniform(0, 300), rng.uniform(8, 150), rng.uniform(8, 150)
            boxes.append(Box(label, (x, y, x + w, y + h), crowd=bool(rng.random() < 0.1)))
            for _ in range(rng.integers(0, 3)):
                dx, dy, dw, dh = rng.normal(0, 0.12, 4) * (w, h, w, h)
                kind = label if rng.random() < 0.9 else "ab"[rng.integers(2)]
                answers.append(Found(kind, float(rng.random()), (x + dx, y + dy, x + dx + w + dw, y + dy + h + dh)))
        pictures.append(Prediction(str(n), as_target(boxes), boxes=tuple(answers)))
    return pictures


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_faster_coco_eval(seed: int) -> None:
    pictures = random_pictures(seed)
    scores = score_boxes(pictures, np.arange(len(pictures)), np.random.default_rng(0))
    ours = [row["average_precision"] for row in scores.details["per_class"]]
    at_half = [row["average_precision_50"] for row in scores.details["per_class"]]
    assert np.mean(ours) == pytest.approx(scores.metrics["map"].value, abs=1e-6)
    assert np.mean(at_half) == pytest.approx(scores.metrics["map_50"].value, abs=1e-6)


def test_weights_count_pictures_as_if_they_were_there_several_times() -> None:
    pictures = [
        match(truth((0, 0, 10, 10), (30, 30, 50, 50)), *found((0, 0, 10, 10, 0.9), (60, 60, 70, 70, 0.95)), 1),
        match(truth((0, 0, 10, 10)), *found((0, 0, 10, 9, 0.5)), 1),
    ]
    weighted = precision_table(pictures, 1).average_precision(np.array([2.0, 1.0]))
    repeated = precision_table([pictures[0], pictures[0], pictures[1]], 1).average_precision()
    np.testing.assert_allclose(weighted, repeated)


def test_intervals_hold_the_value_and_equal_answers_gain_nothing() -> None:
    from headstart.tasks.object_detection import TASK

    pictures, groups = random_pictures(5), np.arange(30)
    scores = score_boxes(pictures, groups, np.random.default_rng(0))
    at = scores.metrics["map"]
    assert at.low < at.value < at.high
    gain = TASK.gain(scores, scores, groups, np.random.default_rng(0))
    assert (gain.low, gain.value, gain.high) == (0.0, 0.0, 0.0)


def test_nothing_found_scores_nothing() -> None:
    pictures = [Prediction("a", as_target([Box("x", (0, 0, 9, 9))]), boxes=())]
    scores = score_boxes(pictures, np.arange(1), np.random.default_rng(0))
    assert scores.metrics["map"].value == 0.0
    assert scores.metrics["box_recall"].value == 0.0


def test_pictures_with_more_than_a_hundred_objects_can_be_found_whole() -> None:
    places = [(20.0 * (n % 20), 20.0 * (n // 20)) for n in range(150)]
    boxes = [Box("x", (x, y, x + 9, y + 9)) for x, y in places]
    found_all = tuple(Found("x", 0.9 - n / 1000, b.corners) for n, b in enumerate(boxes))
    picture = Prediction("a", as_target(boxes), boxes=found_all)
    scores = score_boxes([picture], np.arange(1), np.random.default_rng(0))
    assert scores.metrics["map"].value == pytest.approx(1.0)
